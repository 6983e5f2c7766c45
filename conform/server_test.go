package conform_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	pb "holdfast/api/mapsbooking"
)

// server is a booking server in memory that is right in everything that conform checks. Each switch breaks one thing.
type server struct {
	services map[string]bool // merchant/service
	spots    map[string]int  // of each slot, by slotName
	clock    *clock

	mu       sync.Mutex
	bookings map[string]*pb.Booking
	tokens   map[string]string // the booking's id
	failed   map[string]bool   // tokens, for sticky
	last     int
	creates  int

	oversells         bool
	sticky            bool
	misspellsCanceled bool
	conflicts         bool // 409 for a full slot
	renames           bool // another id after a reschedule
	omitsFalse        bool
	dropsOne          bool
	reverses          bool
	forgetsTokens     bool
	choosy            bool // 500 for unknown fields
	openHealth        bool
	noSlash           bool
	camelCase         bool
	keepsCancelled    bool // their spots
	slow              bool
	listsCancelled    bool
	noLegacy          bool
	uuids             bool // booking ids are, not numbers
	cannotCancel      bool
	inventsCause      bool
	losesAnswers      int // CreateBookings of which no answer comes
	onCreate          func(n int)
}

const user, password = "google", "s3cret-word"

// clock is a clock that only the server moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func slotName(merchantID, serviceID string, startSec int64, r *pb.ResourceIds) string {
	return fmt.Sprint(merchantID, "/", serviceID, "/", startSec, "/", r.GetStaffId(), "/", r.GetPartySize())
}

func nameOf(s *pb.Slot) string {
	return slotName(s.GetMerchantId(), s.GetServiceId(), s.GetStartSec(), s.GetResources())
}

func (s *server) known(merchantID, serviceID string) bool {
	return s.services[merchantID+"/"+serviceID]
}

// free is how many spots of a slot are left.
func (s *server) free(name string) int {
	n := s.spots[name]
	for _, b := range s.bookings {
		if nameOf(b.Slot) == name && (b.Status != pb.BookingStatus_CANCELED || s.keepsCancelled) {
			n--
		}
	}
	return n
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u, p, _ := r.BasicAuth()
	path := strings.TrimPrefix(r.URL.Path, "/google")
	if s.openHealth && strings.HasPrefix(path, "/v3/HealthCheck") {
		u, p = user, password
	}
	if u != user || p != password {
		http.Error(w, "the pair google:s3cret-word is wanted, not "+p, http.StatusUnauthorized)
		return
	}
	if s.noSlash && strings.HasSuffix(path, "/") {
		http.NotFound(w, r)
		return
	}
	switch strings.TrimSuffix(path, "/") {
	case "/v3/HealthCheck":
		s.answer(w, nil)
	case "/v3/BatchAvailabilityLookup":
		serve(s, w, r, s.lookup)
	case "/v3/CreateBooking":
		serve(s, w, r, s.create)
	case "/v3/UpdateBooking":
		serve(s, w, r, s.update)
	case "/v3/GetBookingStatus":
		serve(s, w, r, s.status)
	case "/v3/ListBookings":
		serve(s, w, r, s.list)
	default:
		http.NotFound(w, r)
	}
}

// status is an HTTP status instead of an answer.
type statusError int

func (e statusError) Error() string { return http.StatusText(int(e)) }

func serve[Req any, Resp proto.Message, PReq interface {
	*Req
	proto.Message
}](s *server, w http.ResponseWriter, r *http.Request, op func(PReq) (Resp, error)) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	req := PReq(new(Req))
	if err := (protojson.UnmarshalOptions{DiscardUnknown: !s.choosy}).Unmarshal(body, req); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	resp, err := op(req)
	if err != nil {
		var code statusError
		if !errors.As(err, &code) {
			panic(http.ErrAbortHandler) // the connection breaks
		}
		http.Error(w, err.Error(), int(code))
		return
	}
	s.answer(w, resp)
}

func (s *server) answer(w http.ResponseWriter, m proto.Message) {
	text := []byte(`{"status":"SERVING"}`)
	if m != nil {
		text, _ = protojson.MarshalOptions{UseProtoNames: !s.camelCase}.Marshal(m)
	}
	said := string(text)
	if s.misspellsCanceled {
		said = strings.ReplaceAll(said, `"CANCELED"`, `"CANCELLED"`)
	}
	if s.inventsCause {
		said = strings.ReplaceAll(said, `"BANNED_USER"`, `"BOOKING_NOT_FOUND"`)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if _, err := io.WriteString(w, said); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func (s *server) lookup(req *pb.BatchAvailabilityLookupRequest) (*pb.BatchAvailabilityLookupResponse, error) {
	if s.slow {
		s.clock.pass(2 * time.Second)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	resp := &pb.BatchAvailabilityLookupResponse{}
	for _, t := range req.SlotTime {
		if !s.known(req.MerchantId, t.ServiceId) {
			return nil, statusError(http.StatusBadRequest)
		}
		available := s.free(slotName(req.MerchantId, t.ServiceId, t.StartSec, t.ResourceIds)) > 0
		answer := &pb.SlotTimeAvailability{SlotTime: t, Available: &available}
		if s.omitsFalse && !available {
			answer.Available = nil
		}
		resp.SlotTimeAvailability = append(resp.SlotTimeAvailability, answer)
	}
	if n := len(resp.SlotTimeAvailability); s.dropsOne && n > 1 {
		resp.SlotTimeAvailability = resp.SlotTimeAvailability[:n-1]
	}
	if s.reverses {
		slices.Reverse(resp.SlotTimeAvailability)
	}
	return resp, nil
}

func failure(cause pb.BookingFailure_Cause) *pb.BookingFailure {
	return &pb.BookingFailure{Cause: cause}
}

func (s *server) create(req *pb.CreateBookingRequest) (*pb.CreateBookingResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.creates++
	if s.onCreate != nil {
		s.onCreate(s.creates)
	}
	if !s.known(req.Slot.GetMerchantId(), req.Slot.GetServiceId()) {
		return nil, statusError(http.StatusBadRequest)
	}
	replay := func() *pb.CreateBookingResponse {
		if id, ok := s.tokens[req.IdempotencyToken]; ok && !s.forgetsTokens {
			return &pb.CreateBookingResponse{Booking: proto.CloneOf(s.bookings[id])}
		}
		return nil
	}
	if r := replay(); r != nil {
		return r, nil
	}
	if s.failed[req.IdempotencyToken] {
		return &pb.CreateBookingResponse{BookingFailure: failure(pb.BookingFailure_SLOT_UNAVAILABLE)}, nil
	}
	_, known := s.tokens[req.IdempotencyToken]
	room := s.free(nameOf(req.Slot)) > 0 || known // which only a forgetful server gets to
	if s.oversells && room {                      // looks, and takes later
		s.mu.Unlock()
		time.Sleep(20 * time.Millisecond)
		s.mu.Lock()
		if r := replay(); r != nil {
			return r, nil
		}
	}
	if !room {
		if s.sticky {
			s.failed[req.IdempotencyToken] = true
		}
		if s.conflicts {
			return nil, statusError(http.StatusConflict)
		}
		return &pb.CreateBookingResponse{BookingFailure: failure(pb.BookingFailure_SLOT_UNAVAILABLE)}, nil
	}
	b := &pb.Booking{
		BookingId: s.newID(), Slot: req.Slot, UserInformation: req.UserInformation,
		PaymentInformation: req.PaymentInformation, Status: pb.BookingStatus_CONFIRMED,
	}
	if req.Slot.ConfirmationMode == pb.ConfirmationMode_CONFIRMATION_MODE_ASYNCHRONOUS {
		b.Status = pb.BookingStatus_PENDING_MERCHANT_CONFIRMATION
	}
	s.bookings[b.BookingId] = b
	s.tokens[req.IdempotencyToken] = b.BookingId
	if s.losesAnswers > 0 {
		s.losesAnswers--
		return nil, fmt.Errorf("lost")
	}
	return &pb.CreateBookingResponse{Booking: proto.CloneOf(b)}, nil
}

func (s *server) newID() string {
	s.last++
	if s.uuids {
		return fmt.Sprintf("019f8d3a-0000-7000-8000-%012d", s.last)
	}
	return fmt.Sprint(s.last)
}

// wellFormed reports whether an id looks like one. Google has no such concept, but this server refuses other ids before the lookup, and not as
// unknown.
func (s *server) wellFormed(id string) bool {
	if s.uuids {
		return regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[47][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(id)
	}
	_, err := strconv.ParseInt(id, 10, 32)
	return err == nil
}

func (s *server) update(req *pb.UpdateBookingRequest) (*pb.UpdateBookingResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	wish := req.Booking
	b := s.bookings[wish.GetBookingId()]
	switch {
	case !s.wellFormed(wish.GetBookingId()):
		return nil, statusError(http.StatusUnprocessableEntity)
	case b == nil && s.inventsCause:
		return &pb.UpdateBookingResponse{BookingFailure: failure(pb.BookingFailure_BANNED_USER)}, nil
	case b == nil:
		return nil, statusError(http.StatusBadRequest)
	case wish.Status == pb.BookingStatus_CANCELED && s.cannotCancel:
		return &pb.UpdateBookingResponse{BookingFailure: failure(pb.BookingFailure_OUTSIDE_CANCELLATION_WINDOW)}, nil
	case wish.Status == pb.BookingStatus_CANCELED:
		b.Status = pb.BookingStatus_CANCELED
		return &pb.UpdateBookingResponse{Booking: proto.CloneOf(b)}, nil
	case b.Status == pb.BookingStatus_CANCELED:
		return &pb.UpdateBookingResponse{BookingFailure: failure(pb.BookingFailure_BOOKING_ALREADY_CANCELLED)}, nil
	}
	next := proto.CloneOf(b.Slot)
	next.StartSec, next.DurationSec = wish.Slot.StartSec, wish.Slot.DurationSec
	if nameOf(next) != nameOf(b.Slot) && s.free(nameOf(next)) <= 0 {
		return &pb.UpdateBookingResponse{BookingFailure: failure(pb.BookingFailure_SLOT_UNAVAILABLE)}, nil
	}
	b.Slot = next
	if s.renames {
		delete(s.bookings, b.BookingId)
		b = proto.CloneOf(b)
		b.BookingId = s.newID()
		s.bookings[b.BookingId] = b
	}
	return &pb.UpdateBookingResponse{Booking: proto.CloneOf(b)}, nil
}

func (s *server) status(req *pb.GetBookingStatusRequest) (*pb.GetBookingStatusResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.bookings[req.BookingId]
	if !s.wellFormed(req.BookingId) {
		return nil, statusError(http.StatusUnprocessableEntity)
	}
	if b == nil || s.noLegacy {
		return nil, statusError(http.StatusNotFound)
	}
	return &pb.GetBookingStatusResponse{
		BookingId: b.BookingId, BookingStatus: b.Status, PrepaymentStatus: pb.PrepaymentStatus_PREPAYMENT_NOT_PROVIDED,
	}, nil
}

func (s *server) list(req *pb.ListBookingsRequest) (*pb.ListBookingsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.noLegacy {
		return nil, statusError(http.StatusNotImplemented)
	}
	resp := &pb.ListBookingsResponse{}
	for _, id := range slices.Sorted(maps.Keys(s.bookings)) {
		b := s.bookings[id]
		if b.UserInformation.UserId == req.UserId && (b.Status != pb.BookingStatus_CANCELED || s.listsCancelled) {
			resp.Bookings = append(resp.Bookings, proto.CloneOf(b))
		}
	}
	return resp, nil
}
