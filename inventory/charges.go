package inventory

// Charges are what a visit costs, according to a catalogue or a feed, for a service or for one slot.
// They are data: nothing here charges anybody. The zero value says nothing.
type Charges struct {
	Price           *Price   `json:"price,omitempty"`
	PriceType       string   `json:"price_type,omitempty"`        // [PerPerson], or for the visit
	TaxMicroPercent int64    `json:"tax_micro_percent,omitempty"` // of the price; 7.253% is 7,253,000
	Deposit         *Deposit `json:"deposit,omitempty"`
	NoShowFee       *Fee     `json:"no_show_fee,omitempty"`
	Prepaid         bool     `json:"prepaid,omitempty"` // the price is to be paid in advance
}

// PerPerson is the type of a price, a deposit or a fee for each person, in Google's word (PriceType).
const PerPerson = "PER_PERSON"

// Price is an amount in micros of a currency (1.95 USD is 1,950,000).
type Price struct {
	Micros   int64  `json:"price_micros"`
	Currency string `json:"currency_code,omitempty"` // ISO 4217
	Tag      string `json:"pricing_option_tag,omitempty"`
}

// Deposit is charged up front, and kept if the guest cancels later than this many seconds before the
// start.
type Deposit struct {
	Deposit                   *Price `json:"deposit,omitempty"`
	MinAdvanceCancellationSec int64  `json:"min_advance_cancellation_sec,omitempty"`
	Type                      string `json:"deposit_type,omitempty"`
}

// Fee is charged when the guest does not come.
type Fee struct {
	Fee  *Price `json:"fee,omitempty"`
	Type string `json:"fee_type,omitempty"`
}

// Over returns c, completed by under where c says nothing: a slot's charges override its service's.
func (c Charges) Over(under Charges) Charges {
	if c.Price == nil {
		c.Price, c.PriceType = under.Price, under.PriceType
	}
	if c.TaxMicroPercent == 0 {
		c.TaxMicroPercent = under.TaxMicroPercent
	}
	if c.Deposit == nil {
		c.Deposit = under.Deposit
	}
	if c.NoShowFee == nil {
		c.NoShowFee = under.NoShowFee
	}
	c.Prepaid = c.Prepaid || under.Prepaid
	return c
}

// SmallestUnit returns the smallest amount of a currency that can be paid, in micros. (ISO 4217)
func SmallestUnit(currency string) int64 {
	switch currency {
	case "BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF":
		return 1_000_000
	case "BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND":
		return 1_000
	}
	return 10_000
}

// Due returns the price of a visit of party people, and the tax in it, rounded to the micro; nil if
// nothing is said.
func (c Charges) Due(party int) (price, tax *Price) {
	if c.Price == nil {
		return nil, nil
	}
	due := *c.Price
	if c.PriceType == PerPerson {
		due.Micros *= int64(max(1, party))
	}
	if c.TaxMicroPercent == 0 {
		return &due, nil
	}
	const whole = 100_000_000 // micro percent
	// In two steps, so that no product overflows.
	tax = &Price{Currency: due.Currency}
	tax.Micros = due.Micros/whole*c.TaxMicroPercent + (due.Micros%whole*c.TaxMicroPercent+whole/2)/whole
	return &due, tax
}
