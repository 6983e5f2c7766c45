package sandbox

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// slotKey is what tells slots apart.
type slotKey struct {
	MerchantID, ServiceID string
	StartSec, DurationSec int64
	StaffID, RoomID       string
	PartySize             int64
	Tag                   string
}

// Slot is a slot as the guest's side knows it.
type Slot struct {
	MerchantID  string `json:"merchant_id"`
	ServiceID   string `json:"service_id"`
	StartSec    int64  `json:"start_sec"`
	DurationSec int64  `json:"duration_sec"`
	StaffID     string `json:"staff_id,omitempty"`
	RoomID      string `json:"room_id,omitempty"`
	PartySize   int64  `json:"party_size,omitempty"`
	Tag         string `json:"availability_tag,omitempty"`
	SpotsTotal  int64  `json:"spots_total"`
	SpotsOpen   int64  `json:"spots_open"`
}

func (s Slot) key() slotKey {
	return slotKey{s.MerchantID, s.ServiceID, s.StartSec, s.DurationSec, s.StaffID, s.RoomID, s.PartySize, s.Tag}
}

// replaceMessage is ExtendedServiceAvailability, and ServiceAvailability if it has a name instead of ids.
type replaceMessage struct {
	Name              string                `json:"name,omitempty"`
	MerchantID        string                `json:"merchantId,omitempty"`
	ServiceID         string                `json:"serviceId,omitempty"`
	StartTimeRestrict string                `json:"startTimeRestrict,omitempty"`
	EndTimeRestrict   string                `json:"endTimeRestrict,omitempty"`
	DurationRestrict  string                `json:"durationRestrict,omitempty"`
	ResourcesRestrict *resourcesMessage     `json:"resourcesRestrict,omitempty"`
	Availability      []availabilityMessage `json:"availability,omitempty"`
}

type resourcesMessage struct {
	StaffID   string `json:"staffId,omitempty"`
	StaffName string `json:"staffName,omitempty"`
	RoomID    string `json:"roomId,omitempty"`
	RoomName  string `json:"roomName,omitempty"`
	PartySize int64  `json:"partySize,omitempty"`
}

type availabilityMessage struct {
	StartTime               string            `json:"startTime,omitempty"`
	Duration                string            `json:"duration,omitempty"`
	SpotsTotal              *int64            `json:"spotsTotal,string,omitempty"`
	SpotsOpen               *int64            `json:"spotsOpen,string,omitempty"`
	AvailabilityTag         string            `json:"availabilityTag,omitempty"`
	ConfirmationMode        string            `json:"confirmationMode,omitempty"`
	Resources               *resourcesMessage `json:"resources,omitempty"`
	PaymentOptionID         []string          `json:"paymentOptionId,omitempty"`
	RequireCreditCard       string            `json:"requireCreditCard,omitempty"`
	DurationRequirement     string            `json:"durationRequirement,omitempty"`
	Deposit                 map[string]any    `json:"deposit,omitempty"`
	NoShowFee               map[string]any    `json:"noShowFee,omitempty"`
	SchedulingRuleOverrides map[string]any    `json:"schedulingRuleOverrides,omitempty"`
	TicketTypeID            []string          `json:"ticketTypeId,omitempty"`
}

// window is what a replacement replaces: the slots of a service that start in [from, to), and are of this length and
// these resources, where it says so.
type window struct {
	merchantID, serviceID string
	from, to              int64
	duration              int64 // 0: any
	resources             *resourcesMessage
}

func (w window) covers(s Slot) bool {
	return s.MerchantID == w.merchantID && s.ServiceID == w.serviceID && s.StartSec >= w.from && s.StartSec < w.to &&
		(w.duration == 0 || s.DurationSec == w.duration) &&
		(w.resources == nil || s.StaffID == w.resources.StaffID && s.RoomID == w.resources.RoomID) // never the party size
}

// replacement returns what a message replaces, and by which slots, or the error word and why Google refuses it. Slots
// that are over are refused.
func replacement(m replaceMessage, nowSec int64) (w window, slots []Slot, no *refusal) {
	const end = int64(1) << 62
	w = window{merchantID: m.MerchantID, serviceID: m.ServiceID, to: end, resources: m.ResourcesRestrict}
	if m.MerchantID == "" || m.ServiceID == "" {
		return w, nil, invalid("MISSING_ID: merchantId and serviceId are required")
	}
	if m.StartTimeRestrict != "" {
		if w.from, no = seconds("startTimeRestrict", m.StartTimeRestrict); no != nil {
			return w, nil, no
		}
	}
	if m.EndTimeRestrict != "" {
		if w.to, no = seconds("endTimeRestrict", m.EndTimeRestrict); no != nil {
			return w, nil, no
		}
	}
	if w.to <= w.from {
		return w, nil, invalid("INVALID_TIME_RANGE: endTimeRestrict must be after startTimeRestrict")
	}
	if m.DurationRestrict != "" {
		if w.duration, no = duration("durationRestrict", m.DurationRestrict); no != nil {
			return w, nil, no
		}
	}
	for i, a := range m.Availability {
		slot, no := a.slot(w, nowSec)
		if no != nil {
			return w, nil, invalid("availability[%d]: %s", i, no.message)
		}
		slots = append(slots, slot)
	}
	return w, slots, nil
}

func (a availabilityMessage) slot(w window, nowSec int64) (s Slot, no *refusal) {
	s = Slot{MerchantID: w.merchantID, ServiceID: w.serviceID, Tag: a.AvailabilityTag}
	if s.StartSec, no = seconds("startTime", a.StartTime); no != nil {
		return s, no
	}
	if s.DurationSec, no = duration("duration", a.Duration); no != nil {
		return s, invalid("DURATION_OUT_OF_RANGE: %s", no.message)
	}
	if r := a.Resources; r != nil {
		s.StaffID, s.RoomID, s.PartySize = r.StaffID, r.RoomID, r.PartySize
		if (r.StaffID == "") != (r.StaffName == "") || (r.RoomID == "") != (r.RoomName == "") {
			return s, invalid("MISSING_RESOURCES: an id and its name belong together")
		}
	}
	switch {
	case s.StartSec < nowSec:
		return s, invalid("TIMESTAMP_OUT_OF_RANGE: startTime is past")
	case a.SpotsTotal == nil || a.SpotsOpen == nil:
		return s, invalid("MISSING_REQUIRED_FIELD: spotsTotal and spotsOpen are required")
	case *a.SpotsTotal < 1 || *a.SpotsOpen < 0 || *a.SpotsOpen > *a.SpotsTotal:
		return s, invalid("AVAILABILITY_SPOT_COUNT_OUT_OF_RANGE: %d open of %d", *a.SpotsOpen, *a.SpotsTotal)
	case !w.covers(s):
		return s, invalid("RECORD_OUT_OF_RESTRICTION: the slot is outside of the restricts")
	}
	s.SpotsTotal, s.SpotsOpen = *a.SpotsTotal, *a.SpotsOpen
	return s, nil
}

// replaceBatch is inventory.partners.availability.replace. It is not atomic: the answer has the entries that succeeded.
func (s *Server) replaceBatch(_ *http.Request, body []byte) (any, *refusal) {
	var m struct {
		ExtendedServiceAvailability []replaceMessage `json:"extendedServiceAvailability"`
	}
	if no := decode(body, &m); no != nil {
		return nil, no
	}
	if len(m.ExtendedServiceAvailability) == 0 {
		return nil, invalid("extendedServiceAvailability: required")
	}
	succeeded := []replaceMessage{}
	var last *refusal
	for _, entry := range m.ExtendedServiceAvailability {
		if no := s.replace(entry); no != nil {
			last = no
			continue
		}
		succeeded = append(succeeded, entry)
	}
	if len(succeeded) == 0 {
		return nil, last
	}
	m.ExtendedServiceAvailability = succeeded
	return m, nil
}

// replaceOne is inventory.partners.merchants.services.availability.replace.
func (s *Server) replaceOne(r *http.Request, body []byte) (any, *refusal) {
	var m struct {
		ServiceAvailability replaceMessage `json:"serviceAvailability"`
	}
	if no := decode(body, &m); no != nil {
		return nil, no
	}
	entry := m.ServiceAvailability
	if want := "partners/" + s.o.PartnerID + "/merchants/" + r.PathValue("merchant") + "/services/" + r.PathValue("service"); entry.Name != want {
		return nil, invalid("serviceAvailability.name: must be %q, as in the URL", want)
	}
	entry.MerchantID, entry.ServiceID = r.PathValue("merchant"), r.PathValue("service")
	if no := s.replace(entry); no != nil {
		return nil, no
	}
	return m.ServiceAvailability, nil
}

func (s *Server) replace(m replaceMessage) *refusal {
	w, slots, no := replacement(m, s.o.Now().Unix())
	if no != nil {
		return no
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	next := maps.Clone(s.slots)
	maps.DeleteFunc(next, func(_ slotKey, o Slot) bool { return w.covers(o) })
	for _, slot := range slots {
		next[slot.key()] = slot
	}
	if len(next) > most {
		return &refusal{http.StatusTooManyRequests, "RESOURCE_EXHAUSTED", "the sandbox keeps no more than " + strconv.Itoa(most) + " slots"}
	}
	s.slots = next
	return nil
}

// Slots returns the slots that the guest's side knows by real-time updates, in order of merchant, service and time. Past
// ones are left out.
func (s *Server) Slots() []Slot {
	now := s.o.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.Collect(maps.Values(s.slots))
	all = slices.DeleteFunc(all, func(s Slot) bool { return time.Unix(s.StartSec, 0).Before(now) })
	slices.SortFunc(all, func(a, b Slot) int {
		return cmp.Or(cmp.Compare(a.MerchantID, b.MerchantID), cmp.Compare(a.ServiceID, b.ServiceID), cmp.Compare(a.StartSec, b.StartSec),
			cmp.Compare(a.DurationSec, b.DurationSec), cmp.Compare(a.StaffID, b.StaffID), cmp.Compare(a.RoomID, b.RoomID), cmp.Compare(a.PartySize, b.PartySize))
	})
	return all
}
