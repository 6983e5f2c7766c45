package booking

import (
	"strings"
	"testing"

	"holdfast/inventory"
)

// An answer is bounded by its slots and by what they say.
func TestTooManySlots(t *testing.T) {
	for _, c := range []struct {
		slots, name int
		want        bool
	}{{20_000, 78, false}, {20_001, 0, true}, {20_000, 79, true}, {1, MostZoneNames, false}, {2, MostZoneNames/2 + 1, true}} {
		g := grid{open: make([]inventory.TimeSlot, c.slots), lanes: []lane{{zone: inventory.Zone{Name: strings.Repeat("z", c.name)}}}}
		if got := tooMany([]grid{g}) != nil; got != c.want {
			t.Errorf("%d slots of a zone with a name of %d: %t", c.slots, c.name, got)
		}
	}
}
