package sandbox

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Booking is a booking as the guest's side knows it.
type Booking struct {
	ID               string `json:"booking_id"`
	MerchantID       string `json:"merchant_id"`
	ServiceID        string `json:"service_id"`
	UserID           string `json:"user_id,omitempty"`
	StartSec         int64  `json:"start_sec,omitempty"`
	DurationSec      int64  `json:"duration_sec,omitempty"`
	PartySize        int64  `json:"party_size,omitempty"`
	Status           string `json:"status,omitempty"`
	PrepaymentStatus string `json:"prepayment_status,omitempty"`
	FailureCause     string `json:"failure_cause,omitempty"` // why an asynchronous booking failed
	Told             int    `json:"told"`                    // how often the partner has changed it
}

// bookingMessage is Booking of the Maps Booking API.
type bookingMessage struct {
	Name               string          `json:"name,omitempty"`
	MerchantID         string          `json:"merchantId,omitempty"`
	ServiceID          string          `json:"serviceId,omitempty"`
	StartTime          string          `json:"startTime,omitempty"`
	Duration           string          `json:"duration,omitempty"`
	PartySize          *int64          `json:"partySize,string,omitempty"`
	Status             string          `json:"status,omitempty"`
	PaymentInformation *paymentMessage `json:"paymentInformation,omitempty"`
	ClientInformation  map[string]any  `json:"clientInformation,omitempty"` // part of the message, and nothing that can be changed
}

type paymentMessage struct {
	PrepaymentStatus     string `json:"prepaymentStatus,omitempty"`
	PaymentTransactionID string `json:"paymentTransactionId,omitempty"`
}

// The words that a notification may use (google-realtime-updates §4, google-outgoing §3.1).
var (
	statuses = []string{"CONFIRMED", "CANCELED", "NO_SHOW", "NO_SHOW_PENALIZED", "FAILED", "DECLINED_BY_MERCHANT"}
	pending  = []string{"PENDING_MERCHANT_CONFIRMATION", "PENDING_CLIENT_CONFIRMATION"}
	prepaid  = []string{"PREPAYMENT_PROVIDED", "PREPAYMENT_NOT_PROVIDED", "PREPAYMENT_REFUNDED", "PREPAYMENT_CREDITED"}
)

// notified returns the booking after a notification, or why Google refuses it. query has updateMask and bookingFailure.*.
func notified(b Booking, name string, m bookingMessage, query map[string][]string) (Booking, *refusal) {
	first := func(name string) string {
		if v := query[name]; len(v) > 0 {
			return v[0]
		}
		return ""
	}
	switch {
	case m.Name != name:
		return b, invalid("name: must be %q, as in the URL", name)
	case m.MerchantID == "":
		return b, invalid("merchantId: required")
	case m.ServiceID == "":
		return b, invalid("serviceId: required")
	case m.MerchantID != b.MerchantID || m.ServiceID != b.ServiceID:
		return b, invalid("merchantId, serviceId: the booking is of merchant %q and service %q", b.MerchantID, b.ServiceID)
	case first("updateMask") == "":
		return b, invalid("updateMask: required, the changed fields separated by commas")
	}
	for path := range strings.SplitSeq(first("updateMask"), ",") {
		var no *refusal
		switch path {
		case "status":
			switch {
			case slices.Contains(pending, m.Status):
				no = invalid("status: %s is not supported", m.Status)
			case !slices.Contains(statuses, m.Status):
				no = invalid("status: must be one of %s", strings.Join(statuses, ", "))
			}
			b.Status, b.FailureCause = m.Status, ""
			if m.Status == "FAILED" {
				b.FailureCause = first("bookingFailure.cause")
			}
		case "startTime":
			b.StartSec, no = seconds("startTime", m.StartTime)
		case "duration":
			b.DurationSec, no = duration("duration", m.Duration)
		case "partySize":
			if m.PartySize == nil || *m.PartySize < 1 {
				return b, invalid("partySize: must be at least 1")
			}
			b.PartySize = *m.PartySize
		case "paymentInformation.prepaymentStatus":
			if m.PaymentInformation == nil || !slices.Contains(prepaid, m.PaymentInformation.PrepaymentStatus) {
				return b, invalid("paymentInformation.prepaymentStatus: must be one of %s", strings.Join(prepaid, ", "))
			}
			b.PrepaymentStatus = m.PaymentInformation.PrepaymentStatus
		default:
			no = invalid("updateMask: %q cannot be changed", path)
		}
		if no != nil {
			return b, no
		}
	}
	b.Told++
	return b, nil
}

// seconds reads an RFC 3339 time, which must be of whole seconds.
func seconds(member, text string) (int64, *refusal) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return 0, invalid("%s: must be a time like 2026-01-05T09:30:00Z", member)
	}
	return t.Unix(), nil
}

var lengths = regexp.MustCompile(`^([0-9]{1,10})(\.0+)?s$`)

// duration reads a length in seconds, which is above 0 and below a week.
func duration(member, text string) (int64, *refusal) {
	found := lengths.FindStringSubmatch(text)
	if found == nil {
		return 0, invalid("%s: must be a number of seconds like 1800s", member)
	}
	n, err := strconv.ParseInt(found[1], 10, 64)
	if err != nil || n <= 0 || n >= 168*3600 {
		return 0, invalid("%s: must be above 0 and below 168 hours", member)
	}
	return n, nil
}

// message is the booking as the Maps Booking API answers it.
func (b Booking) message(name string) bookingMessage {
	m := bookingMessage{Name: name, MerchantID: b.MerchantID, ServiceID: b.ServiceID, Status: b.Status}
	if b.StartSec != 0 {
		m.StartTime = time.Unix(b.StartSec, 0).UTC().Format(time.RFC3339)
	}
	if b.DurationSec != 0 {
		m.Duration = fmt.Sprintf("%ds", b.DurationSec)
	}
	if b.PartySize != 0 {
		m.PartySize = &b.PartySize
	}
	if b.PrepaymentStatus != "" {
		m.PaymentInformation = &paymentMessage{PrepaymentStatus: b.PrepaymentStatus}
	}
	return m
}

// patchBooking is notification.partners.bookings.patch.
func (s *Server) patchBooking(r *http.Request, body []byte) (any, *refusal) {
	var m bookingMessage
	if no := decode(body, &m); no != nil {
		return nil, no
	}
	id := r.PathValue("booking")
	name := "partners/" + s.o.PartnerID + "/bookings/" + id
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bookings[id]
	if b == nil {
		if s.o.Partner != nil {
			return nil, &refusal{http.StatusNotFound, "NOT_FOUND", "Booking " + name + " was not found: Google did not make it"}
		}
		b = &Booking{ID: id, MerchantID: m.MerchantID, ServiceID: m.ServiceID}
	}
	next, no := notified(*b, name, m, r.URL.Query())
	if no != nil {
		return nil, no
	}
	s.keep(next)
	return next.message(name), nil
}

// keep stores a booking, and forgets the oldest if there are too many. It holds mu.
func (s *Server) keep(b Booking) {
	if s.bookings[b.ID] == nil {
		s.order = append(s.order, b.ID)
		if len(s.order) > most {
			delete(s.bookings, s.order[0])
			s.order = s.order[1:]
		}
	}
	s.bookings[b.ID] = &b
}

// Bookings returns the bookings that the guest's side knows, oldest first.
func (s *Server) Bookings() []Booking {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Booking, 0, len(s.order))
	for _, id := range s.order {
		all = append(all, *s.bookings[id])
	}
	return all
}

// Calls returns the newest calls of the partner, oldest first.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.calls)
}
