# Everything but the race tests builds without cgo: SQLite is pure Go here, and
# the binary is static.
export CGO_ENABLED = 0

# SQLite is C translated to Go. It keeps its data outside of Go's heap, where the race
# detector sees nothing, and yet with the detector its code takes most of a test's time.
# So we exclude it. The detector watches its driver and everything else, which
# TestRaceDetectorWatches proves for the flags with which a test was built.
unwatched = modernc.org/libc modernc.org/libc/... modernc.org/memory modernc.org/sqlite/lib
race = -race $(foreach p,$(unwatched),-gcflags=$(p)=-race=false)

# One more package is tested at a time than there are processors, and up to four of its
# parallel tests, because they wait for what they have started. Slow packages go first.
at_once = -p $(shell expr $$(nproc 2>/dev/null || echo 2) + 1) -parallel 4

.PHONY: help check test lint vulnerable abuse abuse-quick abuse-selftest alerts ha ha-quick demo build bench bench-quick torture torture-quick torture-selftest generate docs-vendor

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

test: ## run all tests, on SQLite and PostgreSQL, and those with concurrency with the race detector
	@echo 'The first run compiles SQLite: a few minutes before the first line.'
	racing=$$(go run .ci/racing.go) && pattern=$${racing%% *} && \
	go test -skip "$$pattern" -shuffle=on -timeout 30m $(at_once) ./cmd/holdfast ./booking ./cmd/bench ./... && \
	CGO_ENABLED=1 go test $(race) -run "$$pattern" -shuffle=on -timeout 30m $(at_once) ./cmd/holdfast ./booking ./storage $${racing#* }

check: ## while you work: lint, and the tests of what differs from main and what imports it, on SQLite alone
	.ci/check

lint: ## check format, vet and golangci-lint
	@files=$$(gofmt -l .) || exit 1; \
	if [ -n "$$files" ]; then echo "not as gofmt writes it:"; echo "$$files"; exit 1; fi
	go vet ./...
	go vet -tags 'faults broken' ./...
	go vet -tags 'abuse ha' ./...
	go tool -modfile=.ci/lint.mod golangci-lint run

vulnerable: ## look for known vulnerabilities that are called; says so if it cannot
	.ci/vulnerable

abuse: ## flood and starve a real server, and watch its memory (ten minutes)
	go test -tags abuse -count=1 -timeout 30m -v -run 'TestAbuse' ./cmd/holdfast

abuse-quick: ## each of these attacks on SQLite over HTTP and on PostgreSQL over HTTPS alone (five minutes)
	go test -tags abuse -count=1 -timeout 30m -v -run 'TestAbuse' ./cmd/holdfast -quick

abuse-selftest: ## take each bound away, and demand that a trial or test notices
	go test -tags abuse -count=1 -timeout 30m -v -run 'TestBroken$$' ./cmd/holdfast

ha: blows = 4
ha: ha-quick ## ha-quick with each event three times, and PostgreSQL killed alone (eight minutes)

ha-quick: ## PgBouncer; Patroni, etcd and HAProxy: switchover, kill, partition (Debian packages of them; four minutes)
	go test -tags ha -count=1 -timeout 10m -run 'TestPgBouncer' ./storage
	go run ./cmd/torture -databases postgres -trials patroni -blows $(or $(blows),1)

demo: ## start a server with a clinic to try out, nothing to set up
	go run ./cmd/holdfast demo

build: ## build bin/holdfast
	go build -trimpath -o bin/holdfast ./cmd/holdfast

bench: ## measure the real server against pgbench, on both databases, a quarter of an hour (docs/performance.md)
	go run ./cmd/bench -chart docs/bench.svg

bench-quick: ## the same in under three minutes: short rounds, no growth
	go run ./cmd/bench -pairs 3 -round 1s -only pairs,paced,race,sqlite

torture: ## try to break the promises: 1,000,000 operations, 500 server kills, 200 database kills, on PostgreSQL
	go run ./cmd/torture -databases postgres -operations 1000000 -round 10000 -blows 36

torture-quick: ## the same in under five minutes, on both databases (docs/reliability.md)
	go run ./cmd/torture -operations 12000

torture-selftest: ## break each promise on purpose, and demand that it is noticed
	go run ./cmd/torture -selftest -round 2000

generate: ## write the Go code of api/mapsbooking/*.proto anew
	go generate ./api/mapsbooking

docs-vendor: ## fetch the renderer of /docs again (needs npm; api/docs/vendor.sh)
	sh api/docs/vendor.sh

alerts: ## test the alert rules in deploy/prometheus (needs Debian's prometheus, for promtool)
	promtool check rules deploy/prometheus/alerts.yml
	promtool test rules deploy/prometheus/alerts_test.yml
