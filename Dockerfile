# syntax=docker/dockerfile:1
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
# No cgo: SQLite is pure Go here, and the binary needs no C library.
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -buildvcs=false -o /out/holdfast ./cmd/holdfast
# The final image has no shell to make a directory with.
RUN mkdir /out/data

FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/holdfast /holdfast
# Where the SQLite file goes when no other database is named: mount a volume here.
COPY --from=build --chown=65532:65532 /out/data /data
WORKDIR /data
# By number, so that Kubernetes can see that it is not root.
USER 65532:65532
ENV HOLDFAST_ADDRESS=0.0.0.0:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/holdfast", "health"]
ENTRYPOINT ["/holdfast"]
CMD ["serve"]
