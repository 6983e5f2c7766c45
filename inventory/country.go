package inventory

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed zones.txt
var zonesText string

// homes has the country of each time zone of the tz database that belongs to one.
var homes = sync.OnceValue(func() map[string]string {
	homes := map[string]string{}
	for line := range strings.Lines(zonesText) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(line)
		for _, zone := range words[1:] {
			homes[zone] = words[0]
		}
	}
	return homes
})

// countries are the countries that have a time zone.
var countries = sync.OnceValue(func() map[string]bool {
	countries := map[string]bool{}
	for _, c := range homes() {
		countries[c] = true
	}
	return countries
})

// IsCountry reports whether code is the code of an inhabited country (ISO 3166-1, two capital
// letters).
func IsCountry(code string) bool { return countries()[code] }

// Home returns the merchant's country, for reading telephone numbers without a calling code: the
// catalogue's, or else the time zone's; "" if neither is known (ISO 3166-1, two capital letters).
func (m *Merchant) Home() string {
	if m.Country != "" {
		return m.Country
	}
	return homes()[m.TimeZone]
}
