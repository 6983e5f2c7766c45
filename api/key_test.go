package api_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/booking"
)

// exchange asks for a token over HTTP.
func (w *world) exchange(key string) (status int, token string) {
	w.t.Helper()
	a, err := w.send("POST", exchangePath, fmt.Sprintf(`{"key":%q}`, key))
	w.must(err)
	_, token, _ = strings.Cut(a.body, `"token":"`)
	return a.status, strings.TrimSuffix(token, `"}`)
}

// edit changes the memo of a visit over HTTP and returns the status.
func (w *world) edit(b booking.Booking, memo, token string) int {
	body := strings.TrimSuffix(moveJSON(b.ScheduleID, skin, bed, b.StartSec), "}") + fmt.Sprintf(`,"reservationMemo":%q}`, memo)
	a, err := w.send("POST", updatePath, body, "Authorization", "Bearer "+token)
	w.must(err)
	return a.status
}

// keyID is the id of the clinic's newest key.
func (w *world) keyID(clinic string) string {
	w.t.Helper()
	keys, err := w.service.Keys(w.t.Context(), clinic)
	w.must(err)
	newest := keys[0]
	for _, k := range keys {
		if k.ExpiresSec == 0 && k.RevokedSec == 0 {
			newest = k
		}
	}
	return newest.ID
}

// A revoked key ends at once, and so do its tokens, but not those of the clinic's other keys or of other clinics. Events
// say which key was used.
func TestRevokedKey(t *testing.T) {
	each(t, func(w *world) {
		a, err := w.send("POST", createPath, canaryCreate(1, at(9, 0), ""), "Authorization", "google")
		w.must(err)
		b := w.booking(bookingID.FindStringSubmatch(a.body)[1])
		leaked, err := w.service.NewKey(t.Context(), clinic1, "leaked")
		w.must(err)
		id := w.keyID(clinic1)
		_, first := w.exchange(leaked)
		_, second := w.exchange(leaked)
		other := w.token(clinic1)
		if status := w.edit(b, "by the leaked key", first); status != 200 {
			w.t.Fatalf("got %d", status)
		}
		w.must(w.service.RevokeKey(t.Context(), id))
		for _, token := range []string{first, second} {
			if status := w.edit(b, "once more", token); status != 401 {
				w.t.Errorf("the token of a revoked key: got %d, want 401", status)
			}
		}
		if status, _ := w.exchange(leaked); status != 400 {
			w.t.Errorf("exchange of a revoked key: got %d, want 400", status)
		}
		if status := w.edit(b, "by the other key", other); status != 200 {
			w.t.Errorf("another key's token: got %d, want 200", status)
		}
		w.must(w.service.RevokeKey(t.Context(), id)) // again
		events, err := w.db.Events(t.Context(), b.ID)
		w.must(err)
		if len(events) != 3 || events[1].Actor != booking.ByDesk || events[1].KeyID != id || events[2].KeyID == "" || events[2].KeyID == id || events[0].KeyID != "" {
			w.t.Errorf("events %+v", events)
		}
	})
}

// A key is rotated while the desk works: until the overlap has passed both can be exchanged, and no request is refused.
func TestRotatedKey(t *testing.T) {
	each(t, func(w *world) {
		a, err := w.send("POST", createPath, canaryCreate(1, at(9, 0), ""), "Authorization", "google")
		w.must(err)
		b := w.booking(bookingID.FindStringSubmatch(a.body)[1])
		old, token := w.key(clinic1), w.token(clinic1)
		id := w.keyID(clinic1)
		var n atomic.Int64
		rotated, key := make(chan struct{}), ""
		w.together(5, func(i int) (answer, error) {
			if i == 0 {
				defer close(rotated)
				var err error
				key, err = w.service.RotateKey(t.Context(), id, time.Hour)
				return answer{}, err
			}
			for range 4 { // across the rotation, and fewer tokens than a key may have
				if status := w.edit(b, fmt.Sprint("memo ", n.Add(1)), token); status != 200 {
					w.t.Errorf("got %d", status)
				}
				if status, _ := w.exchange(old); status != 200 {
					w.t.Errorf("exchange of the old key: got %d", status)
				}
			}
			<-rotated
			status, fresh := w.exchange(key)
			if status != 200 || w.edit(b, fmt.Sprint("memo ", n.Add(1)), fresh) != 200 {
				w.t.Errorf("the new key: got %d", status)
			}
			return answer{}, nil
		})
		now := w.service.Now()
		w.service.Now = func() time.Time { return now.Add(time.Hour) }
		if status, _ := w.exchange(old); status != 400 {
			w.t.Errorf("exchange of the old key after the overlap: got %d, want 400", status)
		}
		if status := w.edit(b, "with the old token", token); status != 200 {
			w.t.Errorf("a token of the old key: got %d, want 200", status)
		}
		if status, _ := w.exchange(key); status != 200 {
			w.t.Errorf("the new key after the overlap: got %d", status)
		}
		if _, err := w.service.RotateKey(t.Context(), id, time.Hour); err == nil {
			w.t.Error("a key that has been replaced is replaced again")
		}
	})
}
