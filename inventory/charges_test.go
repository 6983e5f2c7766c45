package inventory

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDue(t *testing.T) {
	usd := func(micros int64) *Price { return &Price{Micros: micros, Currency: "USD"} }
	for _, c := range []struct {
		name       string
		charges    Charges
		party      int
		price, tax *Price
	}{
		{"nothing said", Charges{TaxMicroPercent: 10_000_000}, 2, nil, nil},
		{"for the visit", Charges{Price: usd(1_950_000)}, 3, usd(1_950_000), nil},
		{"for each", Charges{Price: usd(1_950_000), PriceType: PerPerson}, 3, usd(5_850_000), nil},
		{"for each of a party that was not said", Charges{Price: usd(1_950_000), PriceType: PerPerson}, 0, usd(1_950_000), nil},
		{"free", Charges{Price: usd(0), TaxMicroPercent: 10_000_000}, 1, usd(0), usd(0)},
		{"tax", Charges{Price: usd(100_000_000), TaxMicroPercent: 7_253_000}, 1, usd(100_000_000), usd(7_253_000)},
		{"tax of a party", Charges{Price: usd(50_000_000), PriceType: PerPerson, TaxMicroPercent: 10_000_000}, 2, usd(100_000_000), usd(10_000_000)},
		{"tax is rounded to the micro", Charges{Price: usd(15), TaxMicroPercent: 10_000_000}, 1, usd(15), usd(2)},
		{"the dearest visit", Charges{Price: usd(9_000_000_000_000_000), TaxMicroPercent: 100_000_000}, 1, usd(9_000_000_000_000_000), usd(9_000_000_000_000_000)},
	} {
		t.Run(c.name, func(t *testing.T) {
			price, tax := c.charges.Due(c.party)
			if diff := cmp.Diff([]*Price{c.price, c.tax}, []*Price{price, tax}); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestChargesOver(t *testing.T) {
	service := Charges{
		Price: &Price{Micros: 1}, PriceType: PerPerson, TaxMicroPercent: 2,
		Deposit: &Deposit{MinAdvanceCancellationSec: 3}, NoShowFee: &Fee{Type: "x"}, Prepaid: true,
	}
	if diff := cmp.Diff(service, Charges{}.Over(service)); diff != "" {
		t.Errorf("a slot that says nothing (-want +got):\n%s", diff)
	}
	slot := Charges{Price: &Price{Micros: 10}, TaxMicroPercent: 20, Deposit: &Deposit{MinAdvanceCancellationSec: 30}, NoShowFee: &Fee{Type: "y"}, Prepaid: true}
	if diff := cmp.Diff(slot, slot.Over(service)); diff != "" {
		t.Errorf("a slot that says all, also that the price is for the visit (-want +got):\n%s", diff)
	}
}
