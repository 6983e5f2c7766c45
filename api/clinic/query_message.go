package clinic

import (
	"encoding/json"
)

// The messages of the queries, spelled as on the contract's pages, in the order of the schema. What
// the pages leave open is in docs/clinic-queries.md.

// list is a page, the answer to every query that can return several things. The cursors are ours.
type list[T any] struct {
	Data  []T    `json:"data"`
	Next  string `json:"next,omitempty"`  // the cursor of the next page
	Later string `json:"later,omitempty"` // on the last page of changes: the cursor for the next time
}

// pageQuery says which page to return. It is ours.
type pageQuery struct {
	Cursor maybe[string] `json:"cursor"`
	Limit  maybe[int32]  `json:"limit"`
}

// offsetQuery says which page to return of a list that also takes an offset.
type offsetQuery struct {
	Cursor maybe[string] `json:"cursor"` // ours
	Offset maybe[int32]  `json:"offset"`
	Limit  maybe[int32]  `json:"limit"`
}

// noMembers is protos.Empty.
type noMembers struct{}

// reservationGroupOf is a group of get-reservation-groups.
type reservationGroupOf struct {
	ID                        string             `json:"id"`
	Title                     string             `json:"title"`
	Memo                      string             `json:"memo"`
	StartDate                 string             `json:"startDate"`
	IntervalMinutes           int64              `json:"intervalMinutes"`
	IntervalCapacities        []intervalCapacity `json:"intervalCapacities"`
	IsDefault                 bool               `json:"isDefault"`
	SameDayCloseBufferMinutes int64              `json:"sameDayCloseBufferMinutes"`
	OperationTimetable        operationTimetable `json:"operationTimetable"`
	Order                     int                `json:"order"`
}

// intervalCapacity is protos.schedule.IntervalCapacityContract.
type intervalCapacity struct {
	Enabled          bool   `json:"enabled"`
	IntervalCapacity int    `json:"intervalCapacity"`
	ZoneID           string `json:"zoneId"`
}

type operationTimetable struct {
	Monday    operationDay `json:"monday"`
	Tuesday   operationDay `json:"tuesday"`
	Wednesday operationDay `json:"wednesday"`
	Thursday  operationDay `json:"thursday"`
	Friday    operationDay `json:"friday"`
	Saturday  operationDay `json:"saturday"`
	Sunday    operationDay `json:"sunday"`
}

type operationDay struct {
	Enabled   bool        `json:"enabled"`
	StartTime string      `json:"startTime"`
	EndTime   string      `json:"endTime"`
	Breaktime []breakTime `json:"breaktime"`
}

type breakTime struct {
	StartTime string `json:"startTime"`
	EndTime   string `json:"endTime"`
}

// slotsByGroup is protos.open.GetReservationSlotsByGroupQuery.
type slotsByGroup struct {
	ReservationGroupID maybe[id]     `json:"reservationGroupId"`
	StartDate          maybe[string] `json:"startDate"`
	EndDate            maybe[string] `json:"endDate"`
	Timezone           maybe[string] `json:"timezone"`
	DoctorID           maybe[id]     `json:"doctorId"` // ours
}

// slotsByGroups is protos.open.GetReservationSlotsByGroupsQuery.
type slotsByGroups struct {
	ReservationGroupIDs maybe[[]id]   `json:"reservationGroupIds"`
	StartDateTimeUtc    maybe[string] `json:"startDateTimeUtc"`
	EndDateTimeUtc      maybe[string] `json:"endDateTimeUtc"`
	DoctorID            maybe[id]     `json:"doctorId"` // ours
}

// slotsBySchedule is protos.open.GetReservationSlotsByScheduleIdQuery, and its V2.
type slotsBySchedule struct {
	ScheduleID       maybe[id]     `json:"scheduleId"`
	StartDateTimeUtc maybe[string] `json:"startDateTimeUtc"`
	EndDateTimeUtc   maybe[string] `json:"endDateTimeUtc"`
}

// reservationSlot is a slot of a group in a zone.
type reservationSlot struct {
	ReservationGroupID string   `json:"reservationGroupId"`
	Zone               slotZone `json:"zone"`
	StartDateTimeUtc   string   `json:"startDateTimeUtc"`
	EndDateTimeUtc     string   `json:"endDateTimeUtc"`
	Capacity           int      `json:"capacity"`
	ReservationCount   int      `json:"reservationCount"`
}

// slotZone is protos.open.ReservationSlotZoneConfiguration.
type slotZone struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// resourceSlots are the slots for one stretch of a visit.
type resourceSlots struct {
	OccupiedResourceID string            `json:"occupiedResourceId"`
	ReservationGroupID string            `json:"reservationGroupId"`
	ZoneID             string            `json:"zoneId"`
	Slots              []reservationSlot `json:"slots"`
}

// scheduleDetailQuery is protos.schedule.schedule.GetScheduleDetailQuery.
type scheduleDetailQuery struct {
	ScheduleID maybe[id] `json:"scheduleId"`
	pageQuery            // of the history
}

// scheduleDetail is protos.schedule.schedule.GetScheduleDetailQueryResponse.
type scheduleDetail struct {
	Data scheduleWithHistory `json:"data"`
	Next string              `json:"next,omitempty"` // ours: the cursor of the rest of the history
}

type scheduleWithHistory struct {
	schedule
	Histories []scheduleHistory `json:"histories"` // ours
}

// schedule is a visit. We have no tasks, purchases, prescriptions or other works, so those lists are
// always empty.
type schedule struct {
	ID                 string              `json:"id"`
	Visitor            scheduleVisitor     `json:"visitor"`
	FlowStep           string              `json:"flowStep"`
	Reservation        scheduleReservation `json:"reservation"`
	CreatedDateTimeUtc string              `json:"createdDateTimeUtc"`
	Tasks              []noMembers         `json:"tasks"`
	PurchaseIDs        []string            `json:"purchaseIds"`
	PrescriptionIDs    []string            `json:"prescriptionIds"`
	EtceteraWorks      []noMembers         `json:"etceteraWorks"`
	OccupiedResources  []scheduleOccupied  `json:"occupiedResources"`
	Version            int64               `json:"version"` // ours; a command may name it

	WaitsForConfirmation bool            `json:"waitsForConfirmation"` // ours
	Booking              scheduleBooking `json:"booking"`              // ours
}

// scheduleBooking is what was said and bought when the visit was made.
type scheduleBooking struct {
	Origin            string           `json:"origin"`              // GOOGLE or DESK
	BookingID         string           `json:"bookingId,omitempty"` // Google's
	Service           *scheduleService `json:"service,omitempty"`
	StaffID           string           `json:"staffId,omitempty"` // that the guest named, in the feed's or the clinic's words
	RoomID            string           `json:"roomId,omitempty"`  // ditto
	PartySize         int              `json:"partySize,omitempty"`
	AdditionalRequest string           `json:"additionalRequest,omitempty"`
	OfferID           string           `json:"offerId,omitempty"`
	Payment           *payment         `json:"payment,omitempty"`
}

// payment is what was agreed about payment, spelled like Google's PaymentInformation in protobuf's
// JSON.
type payment struct {
	PrepaymentStatus     string     `json:"prepaymentStatus,omitempty"`
	PaymentTransactionID string     `json:"paymentTransactionId,omitempty"`
	Price                *price     `json:"price,omitempty"`
	TaxAmount            *price     `json:"taxAmount,omitempty"`
	Fees                 *price     `json:"fees,omitempty"`
	FeesAndTaxes         *price     `json:"feesAndTaxes,omitempty"`
	Deposit              *deposit   `json:"deposit,omitempty"`
	NoShowFee            *noShowFee `json:"noShowFee,omitempty"`
	PaymentProcessedBy   string     `json:"paymentProcessedBy,omitempty"`
	PaymentOptionID      string     `json:"paymentOptionId,omitempty"`
	UserPaymentOptionID  string     `json:"userPaymentOptionId,omitempty"`
}

type price struct {
	PriceMicros      int64  `json:"priceMicros,omitempty,string"`
	CurrencyCode     string `json:"currencyCode,omitempty"`
	PricingOptionTag string `json:"pricingOptionTag,omitempty"`
}

type deposit struct {
	Deposit                   *price `json:"deposit,omitempty"`
	MinAdvanceCancellationSec int64  `json:"minAdvanceCancellationSec,omitempty,string"`
	DepositType               string `json:"depositType,omitempty"`
}

type noShowFee struct {
	Fee     *price `json:"fee,omitempty"`
	FeeType string `json:"feeType,omitempty"`
}

// scheduleService is the booked service with its current name.
type scheduleService struct {
	ID   string `json:"id"`
	Name string `json:"name,omitempty"`
}

// scheduleVisitor is protos.schedule.schedule.ScheduleVisitorContract.
type scheduleVisitor struct {
	ID          string `json:"id"`
	Name        string `json:"name"`
	Phone       *phone `json:"phone,omitempty"`
	ChartNumber string `json:"chartNumber"`
}

// phone is protos.Phone.
type phone struct {
	CountryCode string `json:"countryCode"`
	PhoneNumber string `json:"phoneNumber"`
}

// scheduleReservation is
// protos.schedule.schedule.ScheduleDetailReservationContract.
type scheduleReservation struct {
	ReservationGroupID   string          `json:"reservationGroupId"`
	StartDateTime        string          `json:"startDateTime"`
	EndDateTime          string          `json:"endDateTime"`
	ConsultationRequired *bool           `json:"consultationRequired,omitempty"`
	SedationRequired     *bool           `json:"sedationRequired,omitempty"`
	Counselor            *colleague      `json:"counselor,omitempty"`
	Doctor               *colleague      `json:"doctor,omitempty"`
	Funnel               json.RawMessage `json:"funnel,omitempty"`
	ReservationMemo      *string         `json:"reservationMemo,omitempty"`
	ZoneID               string          `json:"zoneId"`
	ReservationAssignee  *colleague      `json:"reservationAssignee,omitempty"`
	Status               string          `json:"status"`
	RequestedProcedures  json.RawMessage `json:"requestedProcedures"`
	ConnectedChannel     *string         `json:"connectedChannel,omitempty"`
}

// colleague is somebody who works at the clinic.
type colleague struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// scheduleOccupied is one stretch of a visit: an item of update-reservation with an id.
type scheduleOccupied struct {
	ID               string        `json:"id"`
	StartDateTimeUtc string        `json:"startDateTimeUtc"`
	EndDateTimeUtc   string        `json:"endDateTimeUtc"`
	ReservationGroup occupiedGroup `json:"reservationGroup"`
}

type occupiedGroup struct {
	ReservationGroupID string     `json:"reservationGroupId"`
	ZoneID             string     `json:"zoneId"`
	Doctor             *colleague `json:"doctor,omitempty"`
}

// scheduleHistory is one change of a visit.
type scheduleHistory struct {
	DateTimeUtc string         `json:"dateTimeUtc"`
	Actor       string         `json:"actor"`
	Action      string         `json:"action"`
	Before      map[string]any `json:"before"`
	After       map[string]any `json:"after"`
}

// schedulesQuery is ours: the visits of a day.
type schedulesQuery struct {
	Date               maybe[string] `json:"date"`
	ReservationGroupID maybe[id]     `json:"reservationGroupId"`
	ZoneID             maybe[id]     `json:"zoneId"`
	offsetQuery

	WaitsForConfirmation maybe[bool] `json:"waitsForConfirmation"`
}

// searchVisitors is protos.open.SearchVisitors.
type searchVisitors struct {
	offsetQuery
	PartOfVisitorName maybe[string]     `json:"partOfVisitorName"`
	DateOfBirth       maybe[string]     `json:"dateOfBirth"`
	ChartNumber       maybe[string]     `json:"chartNumber"`
	Email             maybe[string]     `json:"email"`
	Phone             maybe[phoneAsked] `json:"phone"`
}

type phoneAsked struct {
	CountryCode maybe[string] `json:"countryCode"`
	PhoneNumber maybe[string] `json:"phoneNumber"`
}

// visitor is a chart.
type visitor struct {
	ID          string `json:"id"`
	ChartNumber string `json:"chartNumber"`
	Name        string `json:"name"`
	PhoneNumber *phone `json:"phoneNumber,omitempty"`
	Email       string `json:"email,omitempty"`
}

// staffMember is ours.
type staffMember struct {
	ID                 string              `json:"id"`
	Name               string              `json:"name"`
	Role               string              `json:"role"`
	Exclusive          bool                `json:"exclusive"`
	OperationTimetable *operationTimetable `json:"operationTimetable,omitempty"` // absent: whenever the clinic is open
	ClosedDays         []string            `json:"closedDays"`
}

// occupiedTimesQuery is ours: the times in a range that the desk has closed.
type occupiedTimesQuery struct {
	StartDateTimeUtc maybe[string] `json:"startDateTimeUtc"`
	EndDateTimeUtc   maybe[string] `json:"endDateTimeUtc"`
	ZoneID           maybe[id]     `json:"zoneId"`
	pageQuery
}

// occupiedTime is a time that the desk has closed.
type occupiedTime struct {
	OccupiedTimeID     string     `json:"occupiedTimeId"`
	ReservationGroupID string     `json:"reservationGroupId"`
	ZoneID             string     `json:"zoneId"`
	StartDateTimeUtc   string     `json:"startDateTimeUtc"`
	EndDateTimeUtc     string     `json:"endDateTimeUtc"`
	Doctor             *colleague `json:"doctor,omitempty"`
	Memo               *string    `json:"memo,omitempty"`
	CreatedDateTimeUtc string     `json:"createdDateTimeUtc"`
}

// changedSchedulesQuery is ours: the visits that have changed since a time.
type changedSchedulesQuery struct {
	ChangedSince         maybe[string] `json:"changedSince"`
	WaitsForConfirmation maybe[bool]   `json:"waitsForConfirmation"`
	pageQuery
}
