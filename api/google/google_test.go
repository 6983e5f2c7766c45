package google

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	"holdfast/api/edge"
	"holdfast/api/mapsbooking"
	"holdfast/booking"
	"holdfast/inventory"
)

// sample is Google's own.
func sample(t testing.TB) []byte {
	t.Helper()
	text, err := os.ReadFile("../mapsbooking/testdata/reservations.create_booking.request.json")
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// edited returns the sample with members set, by path; nil removes one.
func edited(t testing.TB, edits ...any) string {
	t.Helper()
	var body map[string]any
	if err := json.Unmarshal(sample(t), &body); err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(edits); i += 2 {
		at, path := body, strings.Split(edits[i].(string), ".")
		for _, name := range path[:len(path)-1] {
			if at[name] == nil {
				at[name] = map[string]any{}
			}
			at = at[name].(map[string]any)
		}
		if at[path[len(path)-1]] = edits[i+1]; edits[i+1] == nil {
			delete(at, path[len(path)-1])
		}
	}
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func readCreate(body string) (booking.Create, error) {
	var req mapsbooking.CreateBookingRequest
	if err := decode([]byte(body), &req); err != nil {
		return booking.Create{}, err
	}
	return createOf(&req)
}

func TestCreateBookingIsRead(t *testing.T) {
	plain := booking.Create{
		Caller: "google", Token: "18307119013960637991",
		Slot: booking.Slot{
			MerchantID: "1234", ServiceID: "5678", StartSec: 1606467600, DurationSec: 1800, PartySize: 2,
			ConfirmationMode: booking.Synchronous,
		},
		Contact: booking.Contact{
			UserID: "1111111111111111111", GivenName: "John", FamilyName: "Smith",
			Telephone: "+12091111111", Email: "john.smith@gmail.com",
		},
		Payment: &booking.Payment{PrepaymentStatus: "PREPAYMENT_NOT_PROVIDED"},
	}
	with := func(change func(*booking.Create)) booking.Create {
		c := plain
		change(&c)
		return c
	}
	for _, c := range []struct {
		name, body string
		want       booking.Create
	}{
		{"the sample", string(sample(t)), plain},
		{"numbers bare", edited(t, "slot.start_sec", 1606467600, "slot.duration_sec", json.Number("1800.0")), plain},
		{"numbers with an exponent", edited(t, "slot.start_sec", "16064676e2", "slot.duration_sec", json.Number("1.8e3")), plain},
		{"party size in a string", edited(t, "slot.resources.party_size", "2"), plain},
		{"names in camel case", edited(t, "slot", nil, "slot.merchantId", "1234", "slot.serviceId", "5678", "slot.startSec", "1606467600", "slot.durationSec", 1800, "slot.resources.partySize", 2, "slot.confirmationMode", 1), plain},
		{"an enumeration's number", edited(t, "slot.confirmation_mode", 1, "payment_information.prepayment_status", 2), plain},
		{"unknown members", edited(t, "new", []any{nil}, "slot.new", "x", "user_information.new.newer", 1e300, "payment_information.Price", 3), plain},
		{"nulls", strings.Replace(string(sample(t)), `"party_size" : 2`, `"party_size" : 2, "staff_id" : null, "room_id" : null`, 1), plain},
		{"no mode", edited(t, "slot.confirmation_mode", nil), with(func(c *booking.Create) { c.ConfirmationMode = "" })},
		{"an unspecified mode", edited(t, "slot.confirmation_mode", "CONFIRMATION_MODE_UNSPECIFIED"), with(func(c *booking.Create) { c.ConfirmationMode = "" })},
		{"asynchronous", edited(t, "slot.confirmation_mode", "CONFIRMATION_MODE_ASYNCHRONOUS"), with(func(c *booking.Create) { c.ConfirmationMode = booking.Asynchronous })},
		{"no resources", edited(t, "slot.resources", nil), with(func(c *booking.Create) { c.PartySize = 0 })},
		{"staff and room", edited(t, "slot.resources.staff_id", "s", "slot.resources.room_id", "r"), with(func(c *booking.Create) { c.StaffID, c.RoomID = "s", "r" })},
		{"tag, offer, lease, wish", edited(t, "slot.availability_tag", "t", "offer_id", "o", "lease_ref.lease_id", "l", "additional_request", "a\tb\r\nc"), with(func(c *booking.Create) {
			c.AvailabilityTag, c.OfferID, c.LeaseID, c.AdditionalRequest = "t", "o", new(uuid.UUID), "a\tb\r\nc"
		})},
		{"address and language", edited(t, "user_information.language_code", "ko", "user_information.address.country", "KR", "user_information.address.street_address", "1\n2"), with(func(c *booking.Create) {
			c.Contact.LanguageCode, c.Contact.Address = "ko", &booking.Address{Country: "KR", StreetAddress: "1\n2"}
		})},
		{"no payment", edited(t, "payment_information", nil), with(func(c *booking.Create) { c.Payment = nil })},
		{"an empty payment", edited(t, "payment_information.prepayment_status", nil), with(func(c *booking.Create) { c.Payment = &booking.Payment{} })},
		{"what pays passes by", edited(t, "payment_information.fraud_signals", "f\x00", "payment_information.pa_response", "p", "payment_information.md_merchant_data", "m", "payment_processing_parameters.unparsed_payment_method_token", "{\n}"), plain},
		{"forty letters", edited(t, "user_information.given_name", strings.Repeat("김", 40)), with(func(c *booking.Create) { c.Contact.GivenName = strings.Repeat("김", 40) })},
		{"all of a payment", edited(t,
			"payment_information", map[string]any{
				"prepayment_status": "PREPAYMENT_PROVIDED", "payment_transaction_id": "t", "payment_processed_by": "PROCESSED_BY_GOOGLE",
				"price":      map[string]any{"price_micros": "1950000", "currency_code": "USD", "pricing_option_tag": "p"},
				"tax_amount": map[string]any{"price_micros": 1, "currency_code": "USD"}, "fees": map[string]any{"price_micros": 2, "currency_code": "USD"}, "fees_and_taxes": map[string]any{"price_micros": 3, "currency_code": "USD"},
				"deposit":           map[string]any{"deposit": map[string]any{"price_micros": 4, "currency_code": "USD"}, "min_advance_cancellation_sec": "86400", "deposit_type": "PER_PERSON"},
				"no_show_fee":       map[string]any{"fee": map[string]any{"price_micros": 5, "currency_code": "USD"}, "fee_type": "FIXED_RATE_DEFAULT"},
				"payment_option_id": "o", "user_payment_option_id": "u",
			}), with(func(c *booking.Create) {
			c.Payment = &booking.Payment{
				PrepaymentStatus: "PREPAYMENT_PROVIDED", TransactionID: "t", ProcessedBy: "PROCESSED_BY_GOOGLE",
				Price:     &inventory.Price{Micros: 1950000, Currency: "USD", Tag: "p"},
				TaxAmount: &inventory.Price{Micros: 1, Currency: "USD"}, Fees: &inventory.Price{Micros: 2, Currency: "USD"}, FeesAndTaxes: &inventory.Price{Micros: 3, Currency: "USD"},
				Deposit:         &inventory.Deposit{Deposit: &inventory.Price{Micros: 4, Currency: "USD"}, MinAdvanceCancellationSec: 86400, Type: "PER_PERSON"},
				NoShowFee:       &inventory.Fee{Fee: &inventory.Price{Micros: 5, Currency: "USD"}},
				PaymentOptionID: "o", UserPaymentOptionID: "u",
			}
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readCreate(c.body)
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Fingerprint) != 32 {
				t.Errorf("a fingerprint of %d bytes", len(got.Fingerprint))
			}
			got.Fingerprint = nil
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

func TestCreateBookingIsRefused(t *testing.T) {
	text := func(n int) string { return strings.Repeat("x", n) }
	type row struct{ name, body, field, message string }
	rows := []row{
		{"empty", "", "", "the body is empty"},
		{"blank", " \n", "", "the body is empty"},
		{"an array", "[]", "", "the body is not a JSON object"},
		{"null", "null", "", "the body is not a JSON object"},
		{"no JSON", "{", "", "the body is not well-formed JSON"},
		{"a comma too many", `{"slot":{},}`, "", "the body is not well-formed JSON"},
		{"garbage behind it", edited(t) + "{}", "", "there is something after the end of the JSON text"},
		{"a brace behind it", edited(t) + "}", "", "there is something after the end of the JSON text"},
		{"a member twice", `{"idempotency_token":"a","idempotency_token":"b"}`, "", "an object has a member twice"},
		{"a member twice, once null", `{"slot":null,"slot":{}}`, "", "an object has a member twice"},
		{"a member under both names", edited(t, "idempotencyToken", "b"), "", "the body is not protobuf's JSON: a field under both its names, or half a surrogate pair"},
		{"not UTF-8", strings.Replace(edited(t), "John", "J\xffhn", 1), "", "the body is not UTF-8"},
		{"half a surrogate pair", strings.Replace(edited(t), "John", `\ud800`, 1), "", "the body is not protobuf's JSON: a field under both its names, or half a surrogate pair"},
		{"a member twice, once escaped", `{"slot":{"merchant_id":"a","merchant\u005fid":"b"}}`, "", "an object has a member twice"},
		{"a member twice, deep in an unknown one", `{"x":[{"y":{"z":1,"z":2}}]}`, "", "an object has a member twice"},
		{"colons and quotes in strings", `{"a\":\\":":\\\":","slot":7}`, "slot", "slot must be an object"},
		{"too deep", strings.Repeat("[", edge.MaxBody), "", "the body is not well-formed JSON"},

		{"a string for an object", edited(t, "slot", "x"), "slot", "slot must be an object"},
		{"an array for an object", edited(t, "user_information", []any{}), "user_information", "user_information must be an object"},
		{"a number for a string", edited(t, "slot.merchant_id", 1234), "slot.merchant_id", "slot.merchant_id must be a string"},
		{"a number for a string, camel case", edited(t, "slot.merchant_id", nil, "slot.merchantId", 1234), "slot.merchant_id", "slot.merchant_id must be a string"},
		{"a word for a time", edited(t, "slot.start_sec", "now"), "slot.start_sec", "slot.start_sec must be a whole number of 64 bits"},
		{"white space in a time", edited(t, "slot.start_sec", " 1606467600"), "slot.start_sec", "slot.start_sec must be a whole number of 64 bits"},
		{"a plus in a time", edited(t, "slot.start_sec", "+1606467600"), "slot.start_sec", "slot.start_sec must be a whole number of 64 bits"},
		{"a quoted null for a time", edited(t, "slot.start_sec", "null"), "slot.start_sec", "slot.start_sec must be a whole number of 64 bits"},
		{"quotes in a time", edited(t, "slot.start_sec", `"1606467600"`), "slot.start_sec", "slot.start_sec must be a whole number of 64 bits"},
		{"a fraction of a second", edited(t, "slot.start_sec", 1606467600.5), "slot.start_sec", "slot.start_sec must be a whole number of 64 bits"},
		{"too many bits", edited(t, "slot.start_sec", "9223372036854775808"), "slot.start_sec", "slot.start_sec must be a whole number of 64 bits"},
		{"a huge exponent", edited(t, "slot.start_sec", json.Number("1e999999999")), "slot.start_sec", "slot.start_sec must be a whole number of 64 bits"},
		{"too many bits for a party", edited(t, "slot.resources.party_size", 2147483648), "slot.resources.party_size", "slot.resources.party_size must be a whole number of 32 bits"},
		{"half a guest", edited(t, "slot.resources.party_size", 1.5), "slot.resources.party_size", "slot.resources.party_size must be a whole number of 32 bits"},
		{"true guests", edited(t, "slot.resources.party_size", true), "slot.resources.party_size", "slot.resources.party_size must be a whole number of 32 bits"},
		{"an unknown word", edited(t, "slot.confirmation_mode", "SYNCHRONOUS"), "slot.confirmation_mode", "slot.confirmation_mode must be one of the words of ConfirmationMode"},
		{"an unknown word of a payment", edited(t, "payment_information.prepayment_status", "PAID"), "payment_information.prepayment_status", "payment_information.prepayment_status must be one of the words of PrepaymentStatus"},
		{"an unknown number of an enumeration", edited(t, "slot.confirmation_mode", 3), "slot.confirmation_mode", "slot.confirmation_mode must be one of the words of ConfirmationMode"},
		{"a fraction of an enumeration", edited(t, "slot.confirmation_mode", 0.5), "slot.confirmation_mode", "slot.confirmation_mode must be one of the words of ConfirmationMode"},
		{"deep down", edited(t, "payment_information.deposit.deposit.price_micros", []any{}), "payment_information.deposit.deposit.price_micros", "payment_information.deposit.deposit.price_micros must be a whole number of 64 bits"},
		{"no array", edited(t, "payment_processing_parameters.tokenization_config.card_network_parameters", map[string]any{}), "payment_processing_parameters.tokenization_config.card_network_parameters", "payment_processing_parameters.tokenization_config.card_network_parameters must be an array"},
		{"null in an array", edited(t, "payment_processing_parameters.tokenization_config.card_network_parameters", []any{map[string]any{}, nil}), "payment_processing_parameters.tokenization_config.card_network_parameters[1]", "payment_processing_parameters.tokenization_config.card_network_parameters[1] must be an object"},
		{"no map", edited(t, "payment_processing_parameters.tokenization_config.tokenization_parameter", "x"), "payment_processing_parameters.tokenization_config.tokenization_parameter", "payment_processing_parameters.tokenization_config.tokenization_parameter must be an object"},
		{"a map of numbers", edited(t, "payment_processing_parameters.tokenization_config.tokenization_parameter.x", 1), "payment_processing_parameters.tokenization_config.tokenization_parameter", "payment_processing_parameters.tokenization_config.tokenization_parameter must be a string"},
		{"the first wrong type in the order of the message", edited(t, "idempotency_token", 1, "user_information.email", 1, "user_information.user_id", 1), "user_information.user_id", "user_information.user_id must be a string"},

		{"start at zero", edited(t, "slot.start_sec", 0), "slot.start_sec", "slot.start_sec is required and must be above zero"},
		{"start before 1970", edited(t, "slot.start_sec", -1), "slot.start_sec", "slot.start_sec is required and must be above zero"},
		{"start in the year 10000", edited(t, "slot.start_sec", year10000Sec), "slot.start_sec", "slot.start_sec must lie before the year 10000"},
		{"no time at all", edited(t, "slot.duration_sec", 0), "slot.duration_sec", "slot.duration_sec is required and must be above zero"},
		{"less than no time", edited(t, "slot.duration_sec", -1800), "slot.duration_sec", "slot.duration_sec is required and must be above zero"},
		{"more than a year", edited(t, "slot.duration_sec", maxDurationSec+1), "slot.duration_sec", "slot.duration_sec must be at most 366 days"},
		{"fewer than no guests", edited(t, "slot.resources.party_size", -1), "slot.resources.party_size", "slot.resources.party_size must be from 0 to 10000"},
		{"too many guests", edited(t, "slot.resources.party_size", 10001), "slot.resources.party_size", "slot.resources.party_size must be from 0 to 10000"},
		{"a lease without id", edited(t, "lease_ref.lease_id", ""), "lease_ref.lease_id", "lease_ref.lease_id is required in a lease_ref"},

		{"a given name of 41", edited(t, "user_information.given_name", strings.Repeat("김", 41)), "user_information.given_name", "user_information.given_name must have at most 40 characters"},
		{"a family name of 41", edited(t, "user_information.family_name", text(41)), "user_information.family_name", "user_information.family_name must have at most 40 characters"},
		{"a long token", edited(t, "idempotency_token", text(513)), "idempotency_token", "idempotency_token must have at most 512 bytes"},
		{"a long id", edited(t, "slot.merchant_id", text(257)), "slot.merchant_id", "slot.merchant_id must have at most 256 bytes"},
		{"a long user id", edited(t, "user_information.user_id", text(257)), "user_information.user_id", "user_information.user_id must have at most 256 bytes"},
		{"a long room id", edited(t, "slot.resources.room_id", text(257)), "slot.resources.room_id", "slot.resources.room_id must have at most 256 bytes"},
		{"a long wish", edited(t, "additional_request", text(8193)), "additional_request", "additional_request must have at most 8192 bytes"},
		{"a long tag", edited(t, "slot.availability_tag", text(1025)), "slot.availability_tag", "slot.availability_tag must have at most 1024 bytes"},
		{"NUL in a name", edited(t, "user_information.given_name", "a\x00"), "user_information.given_name", "user_information.given_name must have no control characters"},
		{"a turn of direction in a name", edited(t, "user_information.given_name", "\u202eJohn"), "user_information.given_name", "user_information.given_name must have no characters that cannot be seen"},
		{"a space of no width in a name", edited(t, "user_information.family_name", "Sm\u200bith"), "user_information.family_name", "user_information.family_name must have no characters that cannot be seen"},
		{"a name of Hangul's filler", edited(t, "user_information.given_name", "\u3164"), "user_information.given_name", "user_information.given_name must have no characters that cannot be seen"},
		{"a terminal's command in a name", edited(t, "user_information.given_name", "John\u009b2J"), "user_information.given_name", "user_information.given_name must have no control characters"},
		{"a line break in an id", edited(t, "slot.service_id", "a\n"), "slot.service_id", "slot.service_id must have no control characters"},
		{"a tab in a token", edited(t, "idempotency_token", "a\t"), "idempotency_token", "idempotency_token must have no control characters"},
		{"DEL in a telephone number", edited(t, "user_information.telephone", "\x7f"), "user_information.telephone", "user_information.telephone must have no control characters"},
		{"NUL in a wish", edited(t, "additional_request", "a\x00"), "additional_request", "additional_request must have no control characters"},
		{"an escape in a street", edited(t, "user_information.address.street_address", "\x1b[2J"), "user_information.address.street_address", "user_information.address.street_address must have no control characters"},
		{"a line break in a town", edited(t, "user_information.address.locality", "a\nb"), "user_information.address.locality", "user_information.address.locality must have no control characters"},
		{"NUL in a price", edited(t, "payment_information.price.currency_code", "\x00"), "payment_information.price.currency_code", "payment_information.price.currency_code must have no control characters"},
	}
	for field, must := range map[string]string{
		"slot": "is required", "slot.merchant_id": "is required", "slot.service_id": "is required",
		"slot.start_sec": "is required and must be above zero", "slot.duration_sec": "is required and must be above zero",
		"user_information": "is required", "user_information.user_id": "is required",
		"user_information.given_name": "is required",
		"user_information.telephone":  "is required", "user_information.email": "is required",
		"idempotency_token": "is required",
	} {
		rows = append(rows, row{"no " + field, edited(t, field, nil), field, field + " " + must})
		rows = append(rows, row{"null for " + field, edited(t, field, json.RawMessage("null")), field, field + " " + must})
		if must == "is required" && field != "slot" && field != "user_information" {
			rows = append(rows, row{"empty " + field, edited(t, field, ""), field, field + " is required"})
		}
	}
	for _, c := range rows {
		t.Run(c.name, func(t *testing.T) {
			_, err := readCreate(c.body)
			var r *refusal
			if !errors.As(err, &r) {
				r = edges(err)
			}
			if r.status != 400 || r.field != c.field || r.message != c.message {
				t.Errorf("got  %d %q %q\nwant 400 %q %q", r.status, r.field, r.message, c.field, c.message)
			}
		})
	}
}

// The fingerprint depends on what was asked for, not on how it was written.
func TestFingerprint(t *testing.T) {
	print := func(body string) []byte {
		t.Helper()
		c, err := readCreate(body)
		if err != nil {
			t.Fatal(err)
		}
		return c.Fingerprint
	}
	first := print(edited(t))
	for _, body := range []string{
		edited(t, "idempotency_token", "another"),
		edited(t, "payment_processing_parameters.unparsed_payment_method_token", "another"),
		edited(t, "slot.start_sec", 1606467600, "new", 1),
	} {
		if !bytes.Equal(first, print(body)) {
			t.Errorf("another fingerprint for %s", body)
		}
	}
	for _, body := range []string{
		edited(t, "slot.start_sec", 1606467601),
		edited(t, "user_information.email", "JOHN.smith@gmail.com"),
		edited(t, "additional_request", "x"),
		edited(t, "payment_information.fraud_signals", "x"),
	} {
		if bytes.Equal(first, print(body)) {
			t.Errorf("the same fingerprint for %s", body)
		}
	}
}

// made is the booking that a request makes, as far as Google sees it.
func made(c booking.Create) booking.Booking {
	return booking.Booking{
		ID: uuid.MustParse("01936b8a-0000-7000-8000-000000000001"), MerchantID: c.MerchantID, ServiceID: c.ServiceID,
		State: booking.Confirmed, StartSec: c.StartSec, EndSec: c.StartSec + c.DurationSec,
		PartySize: c.PartySize, StaffID: c.StaffID, RoomID: c.RoomID, AvailabilityTag: c.AvailabilityTag,
		ConfirmationMode: c.ConfirmationMode, Contact: c.Contact, Payment: c.Payment,
	}
}

func TestBookingIsWritten(t *testing.T) {
	for _, c := range []struct {
		name, body string
		change     func(*booking.Booking)
		want       string
	}{
		{"the sample", edited(t), nil, `{"booking":{"booking_id":"01936b8a-0000-7000-8000-000000000001","slot":{"merchant_id":"1234","service_id":"5678","start_sec":"1606467600","duration_sec":"1800","resources":{"party_size":2},"confirmation_mode":"CONFIRMATION_MODE_SYNCHRONOUS"},"user_information":{"user_id":"1111111111111111111","given_name":"John","family_name":"Smith","telephone":"+12091111111","email":"john.smith@gmail.com"},"status":"CONFIRMED","payment_information":{"prepayment_status":"PREPAYMENT_NOT_PROVIDED"}}}`},
		{
			"as little as there can be", edited(t, "slot.resources", nil, "slot.confirmation_mode", nil, "payment_information", nil, "user_information.given_name", "<J>"),
			func(b *booking.Booking) { b.State = booking.Pending },
			`{"booking":{"booking_id":"01936b8a-0000-7000-8000-000000000001","slot":{"merchant_id":"1234","service_id":"5678","start_sec":"1606467600","duration_sec":"1800"},"user_information":{"user_id":"1111111111111111111","given_name":"<J>","family_name":"Smith","telephone":"+12091111111","email":"john.smith@gmail.com"},"status":"PENDING_MERCHANT_CONFIRMATION"}}`,
		},
		{
			"a room, a doctor, a tag, an asynchronous one", edited(t, "slot.resources", map[string]any{"staff_id": "s", "room_id": "r"}, "slot.availability_tag", "t", "slot.confirmation_mode", 2, "payment_information", map[string]any{}),
			nil,
			`{"booking":{"booking_id":"01936b8a-0000-7000-8000-000000000001","slot":{"merchant_id":"1234","service_id":"5678","start_sec":"1606467600","duration_sec":"1800","availability_tag":"t","resources":{"staff_id":"s","room_id":"r"},"confirmation_mode":"CONFIRMATION_MODE_ASYNCHRONOUS"},"user_information":{"user_id":"1111111111111111111","given_name":"John","family_name":"Smith","telephone":"+12091111111","email":"john.smith@gmail.com"},"status":"CONFIRMED","payment_information":{}}}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			create, err := readCreate(c.body)
			if err != nil {
				t.Fatal(err)
			}
			b := made(create)
			if c.change != nil {
				c.change(&b)
			}
			for range 20 { // protojson varies its white space
				got, err := encode(&mapsbooking.CreateBookingResponse{Booking: messageOf(b)})
				if err != nil {
					t.Fatal(err)
				}
				if string(got) != c.want {
					t.Fatalf("got  %s\nwant %s", got, c.want)
				}
			}
		})
	}
}

// Everything that a guest and a payment can say comes back, except what we do not store.
func TestNothingIsLost(t *testing.T) {
	var payment mapsbooking.PaymentInformation
	fill(payment.ProtoReflect())
	want := proto.CloneOf(&payment)
	want.FraudSignals, want.PaResponse, want.MdMerchantData = "", "", ""
	if diff := cmp.Diff(want, paymentMessage(paymentOf(&payment)), protocmp.Transform()); diff != "" {
		t.Errorf("payment: want (-), got (+):\n%s", diff)
	}
	var user mapsbooking.UserInformation
	fill(user.ProtoReflect())
	if diff := cmp.Diff(&user, userMessage(contactOf(&user)), protocmp.Transform()); diff != "" {
		t.Errorf("user: want (-), got (+):\n%s", diff)
	}
}

// fill sets every field to something that is not zero.
func fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		switch fd.Kind() {
		case protoreflect.StringKind:
			m.Set(fd, protoreflect.ValueOfString(string(fd.FullName())))
		case protoreflect.Int64Kind:
			m.Set(fd, protoreflect.ValueOfInt64(int64(fd.Number())))
		case protoreflect.EnumKind:
			m.Set(fd, protoreflect.ValueOfEnum(1))
		case protoreflect.MessageKind:
			fill(m.Mutable(fd).Message())
		}
	}
}

// The channel has a word, or says that it needs none, for every cause and every field.
func TestMapsAreComplete(t *testing.T) {
	for _, c := range booking.Causes() {
		if causes[c] == mapsbooking.BookingFailure_CAUSE_UNSPECIFIED {
			t.Errorf("causes has no entry for %q", c)
		}
	}
	for _, f := range booking.Fields() {
		if _, ok := fieldName[f]; !ok {
			t.Errorf("fieldName has no entry for field %d", f)
		}
		if fieldName[f] != "" && !hasField(createRequest, fieldName[f]) && !hasField(updateRequest, fieldName[f]) {
			t.Errorf("there is no %s", fieldName[f])
		}
	}
	for from, to := range inBooking {
		if !hasField(createRequest, from) || !hasField(updateRequest, to) {
			t.Errorf("there is no %s or no %s", from, to)
		}
	}
	for _, s := range slices.Concat(booking.Live, []booking.State{booking.Canceled, booking.Declined, booking.Failed, booking.NoShow}) {
		if s == booking.Held || s == booking.Blocked { // a lease is no booking, and a block is none
			continue
		}
		if statuses[s] == mapsbooking.BookingStatus_BOOKING_STATUS_UNSPECIFIED {
			t.Errorf("statuses has no entry for %s", s)
		}
	}
}

var (
	createRequest = (&mapsbooking.CreateBookingRequest{}).ProtoReflect().Descriptor()
	updateRequest = (&mapsbooking.UpdateBookingRequest{}).ProtoReflect().Descriptor()
)

func hasField(d protoreflect.MessageDescriptor, path string) bool {
	name, rest, more := strings.Cut(path, ".")
	fd := d.Fields().ByName(protoreflect.Name(name))
	return fd != nil && (!more || fd.Message() != nil && hasField(fd.Message(), rest))
}

func TestFailuresAreWords(t *testing.T) {
	k := &edge.Call{}
	got, err := encode(&mapsbooking.CreateBookingResponse{
		BookingFailure: failureOf(t.Context(), &booking.Failure{Cause: booking.SlotUnavailable, Resource: -1, Detail: "the slot is full"}),
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"booking_failure":{"cause":"SLOT_UNAVAILABLE","description":"the slot is full"}}`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	ctx := edge.WithCall(t.Context(), k)
	if f := failureOf(ctx, &booking.Invalid{}); f != nil || k.Cause != "" {
		t.Errorf("an invalid request is no failure: %v", f)
	}
	if failureOf(ctx, &booking.Failure{Cause: booking.NotReserved}); k.Cause != "BOOKING_NOT_CANCELLABLE" {
		t.Errorf("the log is told %q", k.Cause)
	}
}

// Nothing makes the decoder panic, what passes is within bounds, and the walk over the descriptor misses no wrong type:
// protobuf finds none that the walk has not found.
func FuzzCreateBooking(f *testing.F) {
	for _, body := range []string{
		edited(f),
		edited(f, "slot.start_sec", 1606467600, "slot.duration_sec", json.Number("1.8e3"), "slot.confirmation_mode", 1),
		edited(f, "payment_processing_parameters.tokenization_config", map[string]any{"tokenization_parameter": map[string]any{"a": "b"}, "allowed_auth_methods": []any{"PAN_ONLY", 2}, "card_network_parameters": []any{map[string]any{"card_network": "VISA"}}}),
		edited(f, "lease_ref.leaseId", "l", "offer_id", "o", "user_information.address.postal_code", "1"),
		`{"slot":{"start_sec":"-0","duration_sec":1E1,"resources":{"party_size":"2.0"}}}`,
		`{"slot":null,"Slot":1}`, `{"slot":null,"slot":{}}`, `{"slot":{"confirmation_mode":7}}`, `[]`, `{"a":{"b":[1,{}]}}x`, "{\"slot\":{\"merchant_id\":\"\xff\"}}", `{"slot":{"merchant_id":"\ud800"}}`,
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		object, err := edge.Object(body)
		if err == nil {
			var req mapsbooking.CreateBookingRequest
			walk := checkMessage(req.ProtoReflect().Descriptor(), object, "")
			err := protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(body, &req)
			if walk == nil && err != nil && strings.Contains(err.Error(), "invalid value") {
				t.Errorf("the walk let pass what protobuf does not: %v", err)
			}
		}
		// What is read at once is what the walk lets pass.
		var strict mapsbooking.CreateBookingRequest
		if plain(body) && protojson.Unmarshal(body, &strict) == nil && numbersKnown(strict.ProtoReflect()) {
			if err != nil || checkMessage(strict.ProtoReflect().Descriptor(), object, "") != nil {
				t.Errorf("read at once, but %v", err)
			}
		}
		c, err := readCreate(string(body))
		if err != nil {
			var r *refusal
			if !errors.As(err, &r) {
				r = edges(err)
			}
			if r.status != 400 || r.message == "" {
				t.Fatalf("got %v, want a refusal", err)
			}
			return
		}
		if c.Token == "" || c.MerchantID == "" || c.StartSec <= 0 || c.DurationSec <= 0 || c.PartySize < 0 || c.Contact.Email == "" {
			t.Errorf("incomplete: %+v", c)
		}
		if _, err := encode(&mapsbooking.CreateBookingResponse{Booking: messageOf(made(c))}); err != nil {
			t.Error(err)
		}
	})
}
