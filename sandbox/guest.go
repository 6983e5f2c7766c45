package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"holdfast/api/mapsbooking"
)

// Partner is the booking server of the partner, as Google reaches it.
type Partner struct {
	URL            string // /v3/… is appended
	User, Password string
	client         http.Client
}

// The bounds of a call to the partner.
const (
	partnerTimeout = 10 * time.Second
	largestAnswer  = 4 << 20
)

// NewPartner returns a partner. It returns an error that says what is wrong with the URL or the credentials, and never
// repeats a password.
func NewPartner(address, credentials string) (*Partner, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return nil, errors.New("the booking server must be a URL like https://api.example.com/google, without credentials")
	}
	user, password, found := strings.Cut(credentials, ":")
	if !found || user == "" || password == "" {
		return nil, errors.New("the credentials must be user:password")
	}
	return &Partner{URL: strings.TrimRight(address, "/"), User: user, Password: password, client: http.Client{
		Timeout:       partnerTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// ask calls a method of the booking server.
func (p *Partner) ask(ctx context.Context, method string, request, answer proto.Message) error {
	body, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(request)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, p.URL+"/v3/"+method, bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.SetBasicAuth(p.User, p.Password)
	r.Header.Set("Content-Type", "application/json")
	resp, err := p.client.Do(r)
	if err != nil {
		return fmt.Errorf("%s: %w", method, errors.Unwrap(err)) // without the address
	}
	content, err := io.ReadAll(io.LimitReader(resp.Body, largestAnswer))
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: HTTP %d %.300q", method, resp.StatusCode, content)
	}
	if err := (protojson.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(content, answer); err != nil {
		return fmt.Errorf("%s: the answer cannot be read: %w", method, err)
	}
	return nil
}

// Wish is what a guest wants to book.
type Wish struct {
	MerchantID  string `json:"merchant_id"`
	ServiceID   string `json:"service_id"`
	StartSec    int64  `json:"start_sec"`
	DurationSec int64  `json:"duration_sec"`
	StaffID     string `json:"staff_id"`
	RoomID      string `json:"room_id"`
	PartySize   int32  `json:"party_size"`
	UserID      string `json:"user_id"` // "": sandbox-guest
}

// Book books at the partner as a guest would. It returns an error if there is no partner, if the partner does not
// answer as it should, or if it refuses.
func (s *Server) Book(ctx context.Context, w Wish, token string) (Booking, error) {
	if s.o.Partner == nil {
		return Booking{}, errors.New("the sandbox was started without a booking server")
	}
	if w.UserID == "" {
		w.UserID = "sandbox-guest"
	}
	slot := &mapsbooking.Slot{
		MerchantId: w.MerchantID, ServiceId: w.ServiceID, StartSec: &w.StartSec, DurationSec: &w.DurationSec,
		Resources: &mapsbooking.ResourceIds{StaffId: w.StaffID, RoomId: w.RoomID},
	}
	if w.PartySize > 0 {
		slot.Resources.PartySize = &w.PartySize
	}
	var answer mapsbooking.CreateBookingResponse
	err := s.o.Partner.ask(ctx, "CreateBooking", &mapsbooking.CreateBookingRequest{
		Slot: slot, IdempotencyToken: token,
		UserInformation: &mapsbooking.UserInformation{
			UserId: w.UserID, GivenName: "Sandbox", FamilyName: "Guest", Telephone: "+1 650-555-0100", Email: w.UserID + "@example.com",
		},
		PaymentInformation: &mapsbooking.PaymentInformation{PrepaymentStatus: mapsbooking.PrepaymentStatus_PREPAYMENT_NOT_PROVIDED},
	}, &answer)
	switch {
	case err != nil:
		return Booking{}, err
	case answer.GetBookingFailure() != nil:
		return Booking{}, fmt.Errorf("refused: %s: %s", answer.GetBookingFailure().GetCause(), answer.GetBookingFailure().GetDescription())
	case answer.GetBooking().GetBookingId() == "":
		return Booking{}, errors.New("CreateBooking: the answer has neither a booking nor a failure")
	}
	b := guestSide(answer.GetBooking(), w.UserID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.bookings[b.ID]; known != nil { // the same token again, or an update was faster than the answer
		return *known, nil
	}
	s.keep(b)
	return b, nil
}

// guestSide is a booking of the booking server as the sandbox keeps it.
func guestSide(b *mapsbooking.Booking, userID string) Booking {
	slot := b.GetSlot()
	return Booking{
		ID: b.GetBookingId(), MerchantID: slot.GetMerchantId(), ServiceID: slot.GetServiceId(), UserID: userID,
		StartSec: slot.GetStartSec(), DurationSec: slot.GetDurationSec(), PartySize: int64(slot.GetResources().GetPartySize()),
		Status: b.GetStatus().String(), PrepaymentStatus: b.GetPaymentInformation().GetPrepaymentStatus().String(),
	}
}

func (s *Server) book(w http.ResponseWriter, r *http.Request) {
	var wish Wish
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&wish); err != nil {
		writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	token := r.Header.Get("Idempotency-Key")
	if token == "" {
		token = randomHex()
	}
	b, err := s.Book(r.Context(), wish, token)
	if err != nil {
		writeJSON(w, http.StatusBadGateway, map[string]string{"error": err.Error()})
		return
	}
	writeJSON(w, http.StatusOK, b)
}

// Difference is where the guest's side and the partner's do not agree.
type Difference struct {
	BookingID string `json:"booking_id"`
	Member    string `json:"member"`
	Guest     string `json:"guest"`   // what the guest sees
	Partner   string `json:"partner"` // what the booking server says
}

// mostCompared is how many bookings are compared with the partner's at a time: each is a call or two.
const mostCompared = 500

// Compare asks the booking server about the newest bookings and returns where it disagrees. It returns an error if it
// cannot ask.
func (s *Server) Compare(ctx context.Context) ([]Difference, error) {
	if s.o.Partner == nil {
		return nil, errors.New("the sandbox was started without a booking server")
	}
	all := s.Bookings()
	all = all[max(0, len(all)-mostCompared):]
	listed := map[string]*mapsbooking.Booking{} // by id, of all users: what is live
	asked := map[string]bool{}
	found := []Difference{}
	for _, b := range all {
		var is mapsbooking.GetBookingStatusResponse
		if err := s.o.Partner.ask(ctx, "GetBookingStatus", &mapsbooking.GetBookingStatusRequest{BookingId: b.ID}, &is); err != nil {
			return nil, err
		}
		if !asked[b.UserID] {
			asked[b.UserID] = true
			var list mapsbooking.ListBookingsResponse
			if err := s.o.Partner.ask(ctx, "ListBookings", &mapsbooking.ListBookingsRequest{UserId: b.UserID}, &list); err != nil {
				return nil, err
			}
			for _, l := range list.GetBookings() {
				listed[l.GetBookingId()] = l
			}
		}
		theirs := b
		theirs.Status, theirs.PrepaymentStatus = is.GetBookingStatus().String(), is.GetPrepaymentStatus().String()
		if l := listed[b.ID]; l != nil {
			live := guestSide(l, b.UserID)
			theirs.StartSec, theirs.DurationSec, theirs.PartySize = live.StartSec, live.DurationSec, live.PartySize
		}
		found = append(found, differences(b, theirs)...)
	}
	return found, nil
}

// differences are those of two views of one booking.
func differences(guest, partner Booking) (found []Difference) {
	add := func(member string, g, p any) {
		if g != p {
			found = append(found, Difference{guest.ID, member, fmt.Sprint(g), fmt.Sprint(p)})
		}
	}
	add("status", guest.Status, partner.Status)
	add("start_sec", guest.StartSec, partner.StartSec)
	add("duration_sec", guest.DurationSec, partner.DurationSec)
	add("party_size", guest.PartySize, partner.PartySize)
	add("prepayment_status", guest.PrepaymentStatus, partner.PrepaymentStatus)
	return found
}

// view is what the sandbox shows.
type view struct {
	PartnerID   string       `json:"partner_id"`
	Bookings    []Booking    `json:"bookings"`
	Slots       []Slot       `json:"slots"`
	Differences []Difference `json:"differences"`
	Uncompared  string       `json:"uncompared,omitempty"` // why there are no differences
	Calls       []Call       `json:"calls"`
	Faults      []Fault      `json:"faults"`
}

// mostShown is how many slots are shown.
const mostShown = 100

func (s *Server) view(ctx context.Context) view {
	v := view{PartnerID: s.o.PartnerID, Bookings: s.Bookings(), Slots: s.Slots(), Calls: s.Calls()}
	v.Slots = v.Slots[:min(len(v.Slots), mostShown)]
	s.mu.Lock()
	v.Faults = append(v.Faults, s.faults...)
	s.mu.Unlock()
	var err error
	if v.Differences, err = s.Compare(ctx); err != nil {
		v.Uncompared = err.Error()
	}
	return v
}

func (s *Server) state(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, http.StatusOK, s.view(r.Context()))
}
