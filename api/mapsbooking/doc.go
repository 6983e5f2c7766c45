// Package mapsbooking has the messages of Google's booking server API v3: what Google sends to book,
// move, cancel and look up, and what it expects back. It is generated from mapsbooking.proto, which
// says for every message whether Google documents it. It decides nothing; package google translates
// between these types and the domain.
//
// The messages are protobuf, although only JSON travels, because Google defines them like that and its
// JSON follows protobuf's rules: snake or camel case, 64-bit integers as strings or numbers, zero values
// left out. protojson knows all of these. Read and write with
//
//	protojson.UnmarshalOptions{DiscardUnknown: true}
//	protojson.MarshalOptions{UseProtoNames: true}
//
// Three things to know:
//
//   - A field declared optional is a pointer. So absent is not zero (UpdateBooking leaves an absent
//     start alone), and a zero that is set is written: always set SlotTimeAvailability.Available and
//     CheckAvailabilityResponse.CountAvailable.
//   - DiscardUnknown also discards unknown enum words, which leaves the zero value. Check for that
//     where the word matters.
//   - protojson varies its white space on purpose. Compare as JSON, not as bytes.
//
// After a change to mapsbooking.proto run go generate here and commit the result.
package mapsbooking

//go:generate go tool -modfile=../../.ci/buf.mod buf generate
