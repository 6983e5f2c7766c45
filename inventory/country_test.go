package inventory_test

import (
	"testing"
	"time"

	"holdfast/inventory"
)

func TestHome(t *testing.T) {
	for _, c := range []struct{ country, zone, want string }{
		{"", "Asia/Seoul", "KR"},
		{"", "ROK", "KR"},
		{"", "Asia/Calcutta", "IN"},
		{"", "America/New_York", "US"},
		{"", "US/Pacific", "US"},
		{"", "Europe/Amsterdam", "NL"}, // which is only a link to Brussels
		{"", "Iceland", "IS"},          // to Abidjan
		{"", "Africa/Asmera", "ER"},    // to Nairobi
		{"JP", "Asia/Seoul", "JP"},
		{"KR", "UTC", "KR"},
		{"", "UTC", ""},
		{"", "Etc/GMT-9", ""},
		{"", "CET", ""},
		{"", "", ""},
	} {
		m := inventory.Merchant{Country: c.country, TimeZone: c.zone}
		if got := m.Home(); got != c.want {
			t.Errorf("%q in %q is at home in %q, want %q", c.country, c.zone, got, c.want)
		}
		if _, err := time.LoadLocation(c.zone); err != nil {
			t.Error(err)
		}
	}
	for code, want := range map[string]bool{"KR": true, "US": true, "kr": false, "XX": false, "KOR": false, "": false} {
		if got := inventory.IsCountry(code); got != want {
			t.Errorf("IsCountry(%q) = %v", code, got)
		}
	}
}
