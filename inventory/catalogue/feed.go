package catalogue

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"holdfast/inventory"
)

// Metadata is what a feed's file says about the feed.
type Metadata struct {
	Complete      bool   // the feed has everything: what it leaves out is gone
	ShardNumber   int    // counted from 0
	TotalShards   int    // number of files of the feed
	GenerationSec int64  // when the data was read from the partner's database (Unix seconds)
	Nonce         string // the same in all shards, decimal; may be "" if there is one
}

// mostShards is how many files a feed may come in.
const mostShards = 1000

func readMetadata(p *place) Metadata {
	var m Metadata
	if !p.need().fields() {
		return m
	}
	p.likely(metaMembers)
	switch s := p.at("processing_instruction").need().text(); s {
	case "PROCESS_AS_COMPLETE", "1":
		m.Complete = true
	case "PROCESS_AS_INCREMENTAL", "2", "":
	default:
		p.at("processing_instruction").wrong("must be PROCESS_AS_COMPLETE, not %q", s)
	}
	m.GenerationSec, _ = p.at("generation_timestamp").need().moment()

	total, _ := p.at("total_shards").need().number(1, mostShards)
	m.TotalShards = int(total)
	shard, ok := p.at("shard_number").number(0, mostShards) // none is 0
	m.ShardNumber = int(shard)
	if ok && total > 0 && shard >= total {
		p.at("shard_number").wrong("must be less than total_shards, and %d is not less than %d", shard, total)
	}
	m.Nonce = readNonce(p.at("nonce"))
	if m.Nonce == "" && total > 1 {
		p.at("nonce").wrong("required when total_shards is above 1")
	}
	return m
}

// readNonce reads a 64-bit number. Some programs write 0 for none.
func readNonce(p *place) string {
	s := p.text()
	if s == "" {
		return ""
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		p.wrong("must be a whole number from 0 to 18446744073709551615, not %q", s)
	}
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

// Feed is one of Google's feeds, which may come in several files (shards).
type Feed struct {
	Kind  Kind
	Meta  Metadata // of the first shard
	Files []*File  // by shard number

	// Progress, if not nil, is called now and then with how many bytes of the files, as stored, have been read so far
	// (see [Feed.Size]).
	Progress func(bytes int64)
}

// Size returns what Progress counts up to.
func (f Feed) Size() (bytes int64) {
	for _, file := range f.Files {
		bytes += file.Size
	}
	return bytes
}

// Feeds puts the shards of each feed together, and leaves out catalogues of clinics. Merchants come before services and
// services before availability, because they refer to each other in that order; within a kind the older feed comes
// first. It returns Problems if a shard is missing or duplicate.
func Feeds(files []*File) ([]Feed, error) {
	type identity struct {
		kind       Kind
		nonce      string
		generation int64
		only       *File // a feed in one file is that file
	}
	found := &findings{}
	shards := map[identity]*Feed{}
	var feeds []*Feed
	for _, f := range files {
		if f.Kind == Clinics {
			continue
		}
		id := identity{kind: f.Kind, only: f}
		if f.Meta.TotalShards > 1 {
			id = identity{kind: f.Kind, nonce: f.Meta.Nonce, generation: f.Meta.GenerationSec}
		}
		feed := shards[id]
		if feed == nil {
			feed = &Feed{Kind: f.Kind}
			shards[id] = feed
			feeds = append(feeds, feed)
		}
		feed.Files = append(feed.Files, f)
	}
	for _, feed := range feeds {
		feed.assemble(found)
	}
	if err := found.err(); err != nil {
		return nil, err
	}
	order := []Kind{MerchantFeed, ServiceFeed, AvailabilityFeed}
	slices.SortStableFunc(feeds, func(a, b *Feed) int {
		return cmp.Or(
			slices.Index(order, a.Kind)-slices.Index(order, b.Kind),
			cmp.Compare(a.Meta.GenerationSec, b.Meta.GenerationSec))
	})
	sorted := make([]Feed, len(feeds))
	for i, feed := range feeds {
		sorted[i] = *feed
	}
	return sorted, nil
}

// assemble sorts the shards and checks that they are one feed.
func (f *Feed) assemble(found *findings) {
	slices.SortStableFunc(f.Files, func(a, b *File) int { return a.Meta.ShardNumber - b.Meta.ShardNumber })
	first := f.Files[0]
	f.Meta = first.Meta
	byNumber := map[int]*File{}
	for _, file := range f.Files {
		// A problem with the files themselves has the path of a file.
		if file.Meta.TotalShards != first.Meta.TotalShards || file.Meta.Complete != first.Meta.Complete {
			found.add(file.Path, fmt.Sprintf("total_shards and processing_instruction must be the same as in %s", first.Path))
		}
		number := file.Meta.ShardNumber
		if twice := byNumber[number]; twice != nil {
			found.add(file.Path, fmt.Sprintf("shard %d of %d is also %s", number+1, first.Meta.TotalShards, twice.Path))
		}
		byNumber[number] = file
	}
	for number := range first.Meta.TotalShards {
		if byNumber[number] == nil {
			found.add(first.Path, fmt.Sprintf("shard %d of %d is missing: name all shards in one import (its shard_number is %d)",
				number+1, first.Meta.TotalShards, number))
		}
	}
}

// is returns an error if the feed is of another kind.
func (f Feed) is(kind Kind) error {
	if f.Kind == kind && len(f.Files) > 0 {
		return nil
	}
	return fmt.Errorf("a %s, not a %s", f.Kind, kind)
}

// prefix goes before every path in a file of the feed.
func (f Feed) prefix(file *File) string {
	if len(f.Files) == 1 {
		return ""
	}
	return file.Path + ": "
}

// documents reads every file of the feed as one JSON object, and calls each with the file's number, its root and its
// keys, one by one. each reads the key's value from s, or returns false and leaves it; errEnough ends the reading.
func (f Feed) documents(ctx context.Context, found *findings, each func(s *stream, n int, top *place, key string) (bool, error)) error {
	var total int64
	onRead := func(bytes int) {
		total += int64(bytes)
		if f.Progress != nil {
			f.Progress(total)
		}
	}
	for n, file := range f.Files {
		top := root(nil, f.prefix(file), found)
		switch err := f.document(ctx, file, onRead, top, func(s *stream, key string) (bool, error) { return each(s, n, top, key) }); {
		case errors.Is(err, errEnough):
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

func (f Feed) document(ctx context.Context, file *File, onRead func(int), top *place, each func(s *stream, key string) (bool, error)) error {
	c, err := file.read(ctx, onRead)
	if err != nil {
		return err
	}
	defer c.Close()
	s := newStream(c)
	_, err = s.fields(func(key string) error {
		key = snake(key)
		top.likelyKey(key, topMembers)
		if kind, ok := kinds[key]; ok && kind != f.Kind {
			top.at(key).wrong("does not belong in a %s", f.Kind)
		} else if read, err := each(s, key); read || err != nil {
			return err
		}
		return s.skip()
	})
	if err == nil {
		err = s.end()
	}
	if err == nil || errors.Is(err, errEnough) {
		return err
	}
	// Broken JSON is a finding like any other.
	err = file.broken(ctx, err, s.offset())
	var problems Problems
	if errors.As(err, &problems) {
		for _, p := range problems {
			top.found.add(top.name+p.Path, p.Message)
		}
		return nil
	}
	return err
}

// rows calls each with every object of the list at the top-level key.
func (f Feed) rows(ctx context.Context, key string, found *findings, each func(at rowPlace, p *place) error) error {
	var failed error
	file, i := -1, 0
	err := f.documents(ctx, found, func(s *stream, n int, top *place, k string) (bool, error) {
		if k != key {
			return false, nil
		}
		if n != file { // the list may occur twice in a file, so keep counting
			file, i = n, 0
		}
		return true, listed(top.at(key), s, func() error {
			v, err := s.row()
			if err != nil {
				return err
			}
			if p := top.item(key, i, v); p.need().fields() {
				failed = each(rowPlace{n, -1, i}, p)
			}
			i++
			if failed != nil || found.full() {
				return errEnough
			}
			return nil
		})
	})
	if failed != nil {
		return failed
	}
	return err
}

// sorted calls do with every record of s: a row's key and its content. It finds duplicate rows; same puts that into words
// for the second row and the first. It returns a digest of the rows' content. If there are findings, now or from before,
// it returns only those.
func (f Feed) sorted(ctx context.Context, found *findings, s *sorter, key func(record []byte) int, same func(key []byte, second, first rowPlace), do func(key, rest []byte) error) (string, error) {
	digest := sha256.New()
	var last []byte // key and place
	err := s.each(func(record []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := key(record)
		place := placeOf(record[n:])
		if last != nil && bytes.Equal(last[:len(last)-placeSize], record[:n]) {
			same(record[:n], place, placeOf(last[n:]))
			return nil
		}
		last = append(last[:0], record[:n+placeSize]...)
		digest.Write(record[:n])
		digest.Write(record[n+placeSize:])
		if len(found.problems) > 0 {
			return nil
		}
		return do(record[:n], record[n+placeSize:])
	})
	return hex.EncodeToString(digest.Sum(nil)), cmp.Or(err, found.err())
}

// listed calls each for every item of the list at p, which must come next in s.
func listed(p *place, s *stream, each func() error) error {
	switch next, err := s.items(each); {
	case err != nil:
		return err
	case next == nothing:
		p.wrong("required")
	case next != wanted:
		p.wrong("must be a list")
	}
	return nil
}

// Known are the merchants and services that exist already: in the database, and in what the same import brings before
// this feed.
type Known interface {
	Merchant(id string) (kind inventory.MerchantKind, ok bool)
	Service(merchantID, serviceID string) bool
}

// Merchants reads a merchants feed and calls each with its merchants in the order of their ids. It ignores what only Google
// needs to match and show a merchant (address, category, telephone …). An id may be a clinic's; the caller skips that
// merchant, just as the other feeds skip its rows.
//
// It returns Problems if anything is wrong; then nothing passed to each counts. It returns an error of each unchanged.
func (f Feed) Merchants(ctx context.Context, each func(inventory.Merchant) error) (r Report, err error) {
	if err := f.is(MerchantFeed); err != nil {
		return r, err
	}
	var s sorter
	defer func() { err = errors.Join(err, s.close()) }()
	found := &findings{}
	err = f.rows(ctx, "merchant", found, func(at rowPlace, p *place) error {
		p.likely(merchantMembers)
		id, name := p.at("merchant_id").need().id(), p.at("name").need().title()
		if r.Rows++; r.Rows > mostMerchants {
			p.wrong("more than %d merchants", mostMerchants)
			return errEnough
		}
		if id == "" {
			return nil
		}
		return s.add(append(at.append(append([]byte(id), 0)), name...))
	})
	r.Warnings = found.warnings()
	if err != nil {
		return r, cmp.Or(notEnough(err), found.err())
	}
	same := func(key []byte, second, first rowPlace) {
		f.row("merchant", second, found).at("merchant_id").wrong("%q is also %s", key[:len(key)-1], f.row("merchant", first, found).at("merchant_id").path())
	}
	r.Digest, err = f.sorted(ctx, found, &s, func(record []byte) int { return 1 + bytes.IndexByte(record, 0) }, same, func(key, name []byte) error {
		// Published slots are in UTC and rules in seconds, so the merchant's own time zone decides nothing, and the
		// feed does not have it.
		return each(inventory.Merchant{
			ID: string(key[:len(key)-1]), Name: string(name), Kind: inventory.MerchantFeed, TimeZone: "UTC", Location: time.UTC,
		})
	})
	return r, err
}

// row returns the place of a row without its value.
func (f Feed) row(key string, at rowPlace, found *findings) *place {
	top := root(nil, f.prefix(f.Files[at.file]), found)
	if at.group < 0 {
		return top.item(key, at.row, nil)
	}
	return top.item(key, at.group, nil).item("availability", at.row, nil)
}

// notEnough returns err, or nil if it is errEnough.
func notEnough(err error) error {
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// MerchantService is a service with the merchant that sells it.
type MerchantService struct {
	MerchantID string
	inventory.Service
}

// Services reads a services feed and calls each with the services in the order of merchant and id. It skips services of
// clinics, because a feed never replaces a clinic's own catalogue.
//
// It returns Problems if anything is wrong; then nothing passed to each counts. It returns an error of each unchanged.
func (f Feed) Services(ctx context.Context, known Known, each func(MerchantService) error) (r Report, err error) {
	if err := f.is(ServiceFeed); err != nil {
		return r, err
	}
	var s sorter
	defer func() { err = errors.Join(err, s.close()) }()
	found := &findings{}
	err = f.rows(ctx, "service", found, func(at rowPlace, p *place) error {
		merchantID, clinic := readMerchantID(p, known)
		if clinic {
			r.Skipped++
			return nil
		}
		p.likely(serviceMembers)
		service := readFeedService(p)
		if r.Rows++; r.Rows > mostServices {
			p.wrong("more than %d services", mostServices)
			return errEnough
		}
		if merchantID == "" || service.ID == "" {
			return nil
		}
		text, err := json.Marshal(service)
		if err != nil {
			return err
		}
		return s.add(append(at.append(append(append(append([]byte(merchantID), 0), service.ID...), 0)), text...))
	})
	r.Warnings = found.warnings()
	if err != nil {
		return r, cmp.Or(notEnough(err), found.err())
	}
	same := func(key []byte, second, first rowPlace) {
		id := key[1+bytes.IndexByte(key, 0) : len(key)-1]
		f.row("service", second, found).at("service_id").wrong("%q is also %s", id, f.row("service", first, found).at("service_id").path())
	}
	key := func(record []byte) int {
		merchant := 1 + bytes.IndexByte(record, 0)
		return merchant + 1 + bytes.IndexByte(record[merchant:], 0)
	}
	merchant, services := "", 0
	r.Digest, err = f.sorted(ctx, found, &s, key, same, func(key, text []byte) error {
		service := MerchantService{MerchantID: string(key[:bytes.IndexByte(key, 0)])}
		if services++; service.MerchantID != merchant {
			merchant, services = service.MerchantID, 1
		}
		if services > inventory.MostServices {
			return Problems{{"service", fmt.Sprintf("more than %d services of merchant %q", inventory.MostServices, merchant)}}
		}
		if err := json.Unmarshal(text, &service.Service); err != nil {
			return err
		}
		return each(service)
	})
	return r, err
}

// ServicesOfMerchants is Services with one call for each merchant.
func (f Feed) ServicesOfMerchants(ctx context.Context, known Known, each func(merchantID string, services []inventory.Service) error) error {
	merchant := ""
	var services []inventory.Service
	flush := func() error {
		if len(services) == 0 {
			return nil
		}
		these := services
		services = nil
		return each(merchant, these)
	}
	_, err := f.Services(ctx, known, func(s MerchantService) error {
		if s.MerchantID != merchant {
			if err := flush(); err != nil {
				return err
			}
			merchant = s.MerchantID
		}
		services = append(services, s.Service)
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// readMerchantID reads the merchant of a row, which must be known, and reports whether it is a clinic.
func readMerchantID(p *place, known Known) (id string, clinic bool) {
	id = p.at("merchant_id").need().text()
	if id == "" {
		return "", false
	}
	kind, ok := known.Merchant(id)
	if !ok {
		p.at("merchant_id").wrong("no such merchant")
		return "", false
	}
	return id, kind == inventory.MerchantClinic
}

func readFeedService(p *place) inventory.Service {
	s := inventory.Service{ID: p.at("service_id").need().id()}
	s.Name = p.at("name").title() // deprecated
	if name := p.at("localized_service_name"); name.fields() {
		name.likely(localizedMembers)
		if name.at("value").value != nil {
			s.Name = name.at("value").title()
		}
	}
	rules := p.at("rules")
	if rules.value == nil {
		rules = p.at("scheduling_rules") // the spelling in one of Google's samples
	}
	if rules.fields() {
		rules.likely(rulesMembers)
		s.MinAdvanceBookingSec, _ = rules.at("min_advance_booking").number(0, mostNoticeSec)
		s.MinAdvanceOnlineCancelingSec, _ = rules.at("min_advance_online_canceling").number(0, mostNoticeSec)
	}
	s.Charges = readCharges(p)
	return s
}
