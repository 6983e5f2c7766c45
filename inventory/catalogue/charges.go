package catalogue

import (
	"regexp"

	"holdfast/inventory"
)

const (
	mostMicros     = 9_000_000_000_000_000 // nine thousand million of a currency
	wholeInPercent = 100_000_000           // micro percent
)

// currencyCode matches a currency in ISO 4217.
var currencyCode = regexp.MustCompile(`^[A-Z]{3}$`)

// chargesKeys are the members of a service or slot that say what it costs. They are Google's, in our catalogue too.
var chargesKeys = []string{"price", "tax_rate", "deposit", "no_show_fee", "prepayment", "prepayment_type"}

// readCharges reads what a service or a slot costs. A prepayment's price is the one that guests see, so it takes
// precedence; Google's feeds also state it with prepayment_type.
func readCharges(p *place) (c inventory.Charges) {
	c.Price = readPrice(p.at("price"))
	if t := p.at("tax_rate"); t.fields() {
		t.likely(taxMembers)
		c.TaxMicroPercent, _ = t.at("micro_percent").number(0, wholeInPercent)
	}
	if d := p.at("deposit"); d.fields() {
		d.likely(depositMembers)
		c.Deposit = &inventory.Deposit{Deposit: readPrice(d.at("deposit").need()), Type: readPriceType(d.at("deposit_type"))}
		c.Deposit.MinAdvanceCancellationSec, _ = d.at("min_advance_cancellation_sec").number(0, mostNoticeSec)
	}
	if f := p.at("no_show_fee"); f.fields() {
		f.likely(feeMembers)
		c.NoShowFee = &inventory.Fee{Fee: readPrice(f.at("fee").need()), Type: readPriceType(f.at("fee_type"))}
	}
	c.Prepaid = p.at("prepayment_type").text() == "REQUIRED"
	if pre := p.at("prepayment"); pre.fields() {
		c.Prepaid = true
		pre.likely(prepaymentMembers)
		if info := pre.at("price_info"); info.fields() {
			info.likely(priceInfoMembers)
			c.Price, c.PriceType = readPrice(info.at("price").need()), readPriceType(info.at("price_type"))
		}
	}
	return c
}

func readPrice(p *place) *inventory.Price {
	if !p.fields() {
		return nil
	}
	p.likely(priceMembers)
	price := &inventory.Price{Currency: p.at("currency_code").need().text(), Tag: p.at("pricing_option_tag").text()}
	price.Micros, _ = p.at("price_micros").number(0, mostMicros) // missing means free
	if price.Currency != "" && !currencyCode.MatchString(price.Currency) {
		p.at("currency_code").wrong("must be a code of ISO 4217 such as KRW, not %q", price.Currency)
	}
	return price
}

func readPriceType(p *place) string {
	s := p.text()
	if s != "" && s != "FIXED_RATE_DEFAULT" && s != inventory.PerPerson {
		p.wrong("must be FIXED_RATE_DEFAULT or %s, not %q", inventory.PerPerson, s)
	}
	return s
}
