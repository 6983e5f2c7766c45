package inventory

import (
	_ "embed"
	"strings"
	"sync"
)

//go:embed zones.txt
var zonesText string

// homes is the country of each time zone of the tz database that is of one.
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

// countries are those that have a time zone.
var countries = sync.OnceValue(func() map[string]bool {
	countries := map[string]bool{}
	for _, c := range homes() {
		countries[c] = true
	}
	return countries
})

// IsCountry reports whether code is that of a country with people in it
// (ISO 3166-1, two capital letters).
func IsCountry(code string) bool { return countries()[code] }

// Home is the country that a merchant is in, by which telephone numbers are read
// that are written without one: the catalogue's, else that of the time zone; ""
// if neither says (ISO 3166-1, two capital letters).
func (m *Merchant) Home() string {
	if m.Country != "" {
		return m.Country
	}
	return homes()[m.TimeZone]
}
