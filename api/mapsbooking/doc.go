// Package mapsbooking spells the messages of Google's booking server API v3:
// what Google sends to book, move, cancel and look up, and what it wants back.
// It is generated from mapsbooking.proto, which says of every message whether
// Google documents it, and it decides nothing; package api translates between
// these types and the domain.
//
// The messages are protobuf although only JSON travels, because Google defines
// them so and its JSON follows protobuf's rules: snake or camel case, 64-bit
// integers as strings or numbers, zero values left out. protojson knows all of
// them. Read and write with
//
//	protojson.UnmarshalOptions{DiscardUnknown: true}
//	protojson.MarshalOptions{UseProtoNames: true}
//
// Three things to know:
//
//   - A field declared optional is a pointer. Absent is then not zero
//     (UpdateBooking leaves an absent start alone), and a zero that is set is
//     written out: always set SlotTimeAvailability.Available and
//     CheckAvailabilityResponse.CountAvailable.
//   - DiscardUnknown also discards an enum word it does not know, which leaves
//     the zero value: where the word matters, check for it.
//   - protojson varies its white space on purpose. Compare as JSON, not bytes.
//
// After a change to mapsbooking.proto run go generate here and commit what it
// writes.
package mapsbooking

//go:generate go tool -modfile=../../.ci/buf.mod buf generate
