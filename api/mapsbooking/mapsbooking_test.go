package mapsbooking_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"holdfast/api/mapsbooking"
)

var (
	read  = protojson.UnmarshalOptions{DiscardUnknown: true}
	write = protojson.MarshalOptions{UseProtoNames: true}
)

// Google's published samples come out as they went in.
func TestOfficialSamplesRoundTrip(t *testing.T) {
	samples := map[string]proto.Message{
		"fitness.batch_availability_lookup.slot_click.request.json":       &mapsbooking.BatchAvailabilityLookupRequest{},
		"fitness.batch_availability_lookup.slot_click.response.json":      &mapsbooking.BatchAvailabilityLookupResponse{},
		"fitness.create_booking.request.json":                             &mapsbooking.CreateBookingRequest{},
		"reservations.batch_availability_lookup.page_load.request.json":   &mapsbooking.BatchAvailabilityLookupRequest{},
		"reservations.batch_availability_lookup.page_load.response.json":  &mapsbooking.BatchAvailabilityLookupResponse{},
		"reservations.batch_availability_lookup.slot_click.request.json":  &mapsbooking.BatchAvailabilityLookupRequest{},
		"reservations.batch_availability_lookup.slot_click.response.json": &mapsbooking.BatchAvailabilityLookupResponse{},
		"reservations.create_booking.request.json":                        &mapsbooking.CreateBookingRequest{},
		"reservations.create_booking.response.json":                       &mapsbooking.CreateBookingResponse{},
		"reservations.update_booking.modify.request.json":                 &mapsbooking.UpdateBookingRequest{},
		"reservations.update_booking.modify.response.json":                &mapsbooking.UpdateBookingResponse{},
	}
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(samples) {
		t.Errorf("testdata has %d samples, the table %d", len(files), len(samples))
	}
	for name, m := range samples {
		t.Run(name, func(t *testing.T) {
			in, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			if err := read.Unmarshal(in, m); err != nil {
				t.Fatal(err)
			}
			out, err := write.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			// One sample writes its times as bare numbers; we always write strings.
			if diff := cmp.Diff(secsAsStrings(decode(t, in)), decode(t, out)); diff != "" {
				t.Errorf("sample (-) and what we write (+):\n%s", diff)
			}
		})
	}
}

func decode(t *testing.T, data []byte) any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return v
}

// secsAsStrings turns the numbers of all *_sec fields, which are int64, into
// the strings that protobuf's JSON uses for them.
func secsAsStrings(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, field := range v {
			if n, ok := field.(json.Number); ok && strings.HasSuffix(name, "_sec") {
				v[name] = n.String()
			} else {
				v[name] = secsAsStrings(field)
			}
		}
	case []any:
		for i := range v {
			v[i] = secsAsStrings(v[i])
		}
	}
	return v
}

// The numbers of the Seed (first two) and of Google's pages. A field that is
// missing here is one whose number nobody documents.
func TestDocumentedFieldNumbers(t *testing.T) {
	for _, c := range []struct {
		message proto.Message
		fields  map[protoreflect.Name]protoreflect.FieldNumber
	}{
		{&mapsbooking.CreateBookingRequest{}, fields{"slot": 1, "user_information": 3, "payment_information": 4, "payment_processing_parameters": 5, "idempotency_token": 6, "additional_request": 7, "offer_id": 9}},
		{&mapsbooking.CreateBookingResponse{}, fields{"booking": 1, "user_payment_option": 2, "booking_failure": 3}},
		{&mapsbooking.BatchAvailabilityLookupRequest{}, fields{"merchant_id": 1, "slot_time": 3}},
		{&mapsbooking.BatchAvailabilityLookupResponse{}, fields{"slot_time_availability": 1}},
		{&mapsbooking.SlotTime{}, fields{"start_sec": 1, "duration_sec": 2, "availability_tag": 3, "resource_ids": 4, "service_id": 5}},
		{&mapsbooking.UpdateBookingRequest{}, fields{"booking": 1}},
		{&mapsbooking.UpdateBookingResponse{}, fields{"booking": 1, "user_payment_option": 2, "booking_failure": 3}},
		{&mapsbooking.GetBookingStatusRequest{}, fields{"booking_id": 1}},
		{&mapsbooking.GetBookingStatusResponse{}, fields{"booking_id": 1, "booking_status": 2, "prepayment_status": 3}},
		{&mapsbooking.ListBookingsRequest{}, fields{"user_id": 1}},
		{&mapsbooking.ListBookingsResponse{}, fields{"bookings": 1}},
		{&mapsbooking.SetMarketingPreferenceRequest{}, fields{"user_information": 1, "user_to_receive_marketing": 2}},
		{&mapsbooking.SetMarketingPreferenceResponse{}, fields{"user_information": 1, "user_to_receive_marketing": 2}},
		{&mapsbooking.CheckAvailabilityRequest{}, fields{"slot": 1}},
		{&mapsbooking.CheckAvailabilityResponse{}, fields{"slot": 1, "count_available": 2, "duration_requirement": 3, "last_online_cancellable_sec": 5}},
		{&mapsbooking.AvailabilityUpdate{}, fields{"slot_availability": 1}},
		{&mapsbooking.SlotAvailability{}, fields{"slot": 1, "count_available": 2}},
		{&mapsbooking.Booking{}, fields{"booking_id": 1, "slot": 2, "user_information": 3, "status": 4, "payment_information": 5, "virtual_session_info": 6, "offer_info": 7}},
		{&mapsbooking.OfferInfo{}, fields{"offer_id": 1}},
		{&mapsbooking.Slot{}, fields{"merchant_id": 1, "service_id": 2, "start_sec": 3, "duration_sec": 4, "availability_tag": 5, "resources": 6, "confirmation_mode": 7}},
		{&mapsbooking.ResourceIds{}, fields{"staff_id": 1, "room_id": 2, "party_size": 3}},
		{&mapsbooking.UserInformation{}, fields{"user_id": 1, "given_name": 2, "family_name": 3, "address": 4, "telephone": 5, "email": 6, "language_code": 7}},
		{&mapsbooking.PostalAddress{}, fields{"country": 1, "locality": 2, "region": 3, "postal_code": 4, "street_address": 5}},
		{&mapsbooking.PaymentProcessingParameters{}, fields{"processor": 1, "payment_method_token": 2, "version": 3, "payment_processor": 4, "unparsed_payment_method_token": 5}},
	} {
		d := c.message.ProtoReflect().Descriptor()
		for name, want := range c.fields {
			f := d.Fields().ByName(name)
			if f == nil {
				t.Errorf("%s has no field %s", d.Name(), name)
			} else if f.Number() != want {
				t.Errorf("%s.%s: got number %d, want %d", d.Name(), name, f.Number(), want)
			}
		}
	}
}

type fields = map[protoreflect.Name]protoreflect.FieldNumber

// The words are the wire format: all of them, in the documented order.
func TestDocumentedWords(t *testing.T) {
	for _, c := range []struct {
		enum protoreflect.Enum
		want string
	}{
		{mapsbooking.BookingFailure_CAUSE_UNSPECIFIED, "CAUSE_UNSPECIFIED SLOT_UNAVAILABLE SLOT_ALREADY_BOOKED_BY_USER LEASE_EXPIRED OUTSIDE_CANCELLATION_WINDOW PAYMENT_ERROR_CARD_TYPE_REJECTED PAYMENT_ERROR_CARD_DECLINED PAYMENT_OPTION_NOT_VALID PAYMENT_ERROR USER_CANNOT_USE_PAYMENT_OPTION BOOKING_ALREADY_CANCELLED BOOKING_NOT_CANCELLABLE OVERLAPPING_RESERVATION USER_OVER_BOOKING_LIMIT OFFER_UNAVAILABLE PAYMENT_REQUIRES_3DS1 UNSUPPORTED_NAME UNSUPPORTED_PHONE_NUMBER BANNED_USER DEAL_UNAVAILABLE"},
		{mapsbooking.BookingStatus_BOOKING_STATUS_UNSPECIFIED, "BOOKING_STATUS_UNSPECIFIED CONFIRMED PENDING_MERCHANT_CONFIRMATION CANCELED NO_SHOW NO_SHOW_PENALIZED FAILED DECLINED_BY_MERCHANT"},
		{mapsbooking.PrepaymentStatus_PREPAYMENT_STATUS_UNSPECIFIED, "PREPAYMENT_STATUS_UNSPECIFIED PREPAYMENT_PROVIDED PREPAYMENT_NOT_PROVIDED PREPAYMENT_REFUNDED PREPAYMENT_CREDITED"},
		{mapsbooking.ConfirmationMode_CONFIRMATION_MODE_UNSPECIFIED, "CONFIRMATION_MODE_UNSPECIFIED CONFIRMATION_MODE_SYNCHRONOUS CONFIRMATION_MODE_ASYNCHRONOUS"},
		{mapsbooking.DurationRequirement_DURATION_REQUIREMENT_UNSPECIFIED, "DURATION_REQUIREMENT_UNSPECIFIED DO_NOT_SHOW_DURATION MUST_SHOW_DURATION"},
	} {
		values := c.enum.Descriptor().Values()
		var got []string
		for i := range values.Len() {
			got = append(got, string(values.Get(i).Name()))
		}
		if diff := cmp.Diff(strings.Fields(c.want), got); diff != "" {
			t.Errorf("%s, documented (-) and ours (+):\n%s", c.enum.Descriptor().Name(), diff)
		}
	}
}

// A "no" must not vanish from an answer.
func TestFalseAndZeroAreWritten(t *testing.T) {
	for _, c := range []struct {
		message proto.Message
		want    string
	}{
		{&mapsbooking.SlotTimeAvailability{Available: proto.Bool(false)}, `{"available":false}`},
		{&mapsbooking.CheckAvailabilityResponse{CountAvailable: proto.Int32(0)}, `{"count_available":0}`},
		{&mapsbooking.SlotAvailability{CountAvailable: proto.Int32(0)}, `{"count_available":0}`},
		{&mapsbooking.SetMarketingPreferenceResponse{UserToReceiveMarketing: proto.Bool(false)}, `{"user_to_receive_marketing":false}`},
	} {
		out, err := write.Marshal(c.message)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(decode(t, []byte(c.want)), decode(t, out)); diff != "" {
			t.Errorf("want (-) and got (+):\n%s", diff)
		}
	}
}

// UpdateBooking leaves alone what is absent, so absent must be seen.
func TestAbsentIsNotZero(t *testing.T) {
	for _, c := range []struct {
		json                   string
		start, duration, party bool
	}{
		{`{}`, false, false, false},
		{`{"slot":{}}`, false, false, false},
		{`{"slot":{"start_sec":"0","resources":{}}}`, true, false, false},
		{`{"slot":{"durationSec":0,"resources":{"party_size":0}}}`, false, true, true},
		{`{"slot":{"start_sec":null,"duration_sec":"1800","resources":{"party_size":null}}}`, false, true, false},
	} {
		var b mapsbooking.Booking
		if err := read.Unmarshal([]byte(c.json), &b); err != nil {
			t.Fatal(err)
		}
		slot := b.GetSlot()
		start := slot != nil && slot.StartSec != nil
		duration := slot != nil && slot.DurationSec != nil
		party := slot.GetResources() != nil && slot.GetResources().PartySize != nil
		if start != c.start || duration != c.duration || party != c.party {
			t.Errorf("%s: start, duration, party present: got %t %t %t, want %t %t %t", c.json, start, duration, party, c.start, c.duration, c.party)
		}
	}
}

// What Google adds or renames later must not break a request; an enum word we
// do not know reads as unspecified.
func TestUnknownFieldsAndWordsAreLetThrough(t *testing.T) {
	var got mapsbooking.Booking
	in := `{"booking_id":"890","new_field":{"a":[1]},"status":"POSTPONED"}`
	if err := read.Unmarshal([]byte(in), &got); err != nil {
		t.Fatal(err)
	}
	if want := (&mapsbooking.Booking{BookingId: "890"}); !proto.Equal(&got, want) {
		t.Errorf("got %v, want %v", &got, want)
	}
}
