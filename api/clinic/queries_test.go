package clinic

import (
	"bytes"
	"encoding/json"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"

	"holdfast/api/edge"
	"holdfast/api/mapsbooking"
	"holdfast/booking"
	"holdfast/inventory"
)

// Every cause and every field has an entry, if only to say that it cannot occur.
func TestMapsAreComplete(t *testing.T) {
	for _, c := range booking.Causes() {
		if _, ok := causes[c]; !ok {
			t.Errorf("causes has no entry for %q", c)
		}
	}
	for _, f := range booking.Fields() {
		if _, ok := fieldKeys[f]; !ok {
			t.Errorf("fieldKeys has no entry for field %d", f)
		}
	}
}

// A payment is spelled like Google's in protobuf's JSON, member by member.
func TestPaymentIsSpelledAsGooglesIs(t *testing.T) {
	price := func(micros int64) *inventory.Price {
		return &inventory.Price{Micros: micros, Currency: "KRW", Tag: "tag <&>"}
	}
	full := booking.Payment{
		PrepaymentStatus: "PREPAYMENT_PROVIDED", TransactionID: "t",
		Price: price(1), TaxAmount: price(2), Fees: price(3), FeesAndTaxes: price(4),
		Deposit:     &inventory.Deposit{Deposit: price(5), MinAdvanceCancellationSec: 6, Type: "PER_PERSON"},
		NoShowFee:   &inventory.Fee{Fee: price(0), Type: "PER_PERSON"},
		ProcessedBy: "PROCESSED_BY_PARTNER", PaymentOptionID: "o", UserPaymentOptionID: "u",
	}
	zero := booking.Payment{
		PrepaymentStatus: "PREPAYMENT_STATUS_UNSPECIFIED", ProcessedBy: "PAYMENT_PROCESSED_BY_UNSPECIFIED",
		Deposit: &inventory.Deposit{Type: "FIXED_RATE_DEFAULT"}, NoShowFee: &inventory.Fee{Type: "FIXED_RATE_DEFAULT"},
	}
	for _, p := range []booking.Payment{full, zero, {}} {
		got, err := edge.CompactJSON(paymentOf(&p))
		if err != nil {
			t.Fatal(err)
		}
		var m mapsbooking.PaymentInformation
		if err := protojson.Unmarshal(got, &m); err != nil {
			t.Fatalf("%s: %v", got, err)
		}
		text, err := protojson.Marshal(&m)
		if err != nil {
			t.Fatal(err)
		}
		var want bytes.Buffer // protojson's white space is arbitrary
		if err := json.Compact(&want, text); err != nil {
			t.Fatal(err)
		}
		if string(got) != want.String() {
			t.Errorf("got  %s\nwant %s", got, &want)
		}
	}
}

// Every state and every actor has its words.
func TestStatesHaveWords(t *testing.T) {
	for _, s := range []booking.State{
		booking.Held, booking.Expired, booking.Pending, booking.Confirmed, booking.InProgress, booking.Completed,
		booking.Canceled, booking.Declined, booking.Failed, booking.NoShow,
	} {
		if w := statuses[s]; w.status == "" || w.flowStep == "" {
			t.Errorf("%s has no words: %+v", s, w)
		}
		if s.Reserved() != (statuses[s].status == "RESERVED") {
			t.Errorf("%s is %s", s, statuses[s].status)
		}
	}
	for _, a := range []booking.Actor{booking.ByGuest, booking.ByDesk, booking.ByOperator, booking.ByClock} {
		if actors[a] == "" {
			t.Errorf("%s has no word", a)
		}
	}
}
