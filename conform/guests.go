package conform

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"

	"holdfast/api/mapsbooking"
)

// guests makes people up. Each books once, unless a group says otherwise, because a server may refuse a second
// booking of the same person at the same time.
type guests struct {
	run string // prefix and a part that is new in each run
	n   atomic.Int64
}

func newGuests(prefix string) *guests {
	return &guests{run: prefix + "-" + strings.ToLower(rand.Text()[:8])}
}

// next returns a new guest. The telephone numbers are those that Ofcom reserves for drama; names have only letters,
// because a server may refuse others.
func (g *guests) next() *mapsbooking.UserInformation {
	n := g.n.Add(1)
	id := fmt.Sprintf("%s-%d", g.run, n)
	return &mapsbooking.UserInformation{
		UserId: id, GivenName: "Test", FamilyName: "Rehearsal",
		Telephone: fmt.Sprintf("+447700900%03d", n%1000), Email: id + "@example.com",
	}
}

// token returns an idempotency token like those in Google's samples: decimal digits.
func token() string {
	var b [8]byte
	rand.Read(b[:])
	return strconv.FormatUint(binary.BigEndian.Uint64(b[:])|1<<63, 10)
}

// strangerID returns an id that looks like a known one but names no booking: a server may check an id's form
// first.
func strangerID(known string) string {
	digits, hex := true, len(known) > 0
	for _, c := range known {
		digits = digits && c >= '0' && c <= '9'
		hex = hex && strings.ContainsRune("0123456789abcdefABCDEF-", c)
	}
	random := strings.ToLower(rand.Text() + rand.Text())
	switch {
	case len(known) == 36 && hex && strings.Count(known, "-") == 4:
		var b [16]byte
		rand.Read(b[:])
		b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
		return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
	case digits && len(known) > 9:
		return "9" + token()[2:19] // fits 64 bits
	case digits && known != "": // fits in 32 bits, and no server has counted that far
		return "21470" + token()[5:10]
	}
	return "unknown" + random[:max(12, min(len(known), 40))]
}
