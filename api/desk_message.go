package api

import "encoding/json"

// The messages of the clinic family's queries, spelled as its pages spell them,
// in the order of the schema. What the pages leave open is in
// docs/clinic-queries.md.

// list is how every query answers.
type list[T any] struct {
	Data []T    `json:"data"`
	Next string `json:"next,omitempty"` // ours: the cursor of the page that follows
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

// slotsBySchedule is protos.open.GetReservationSlotsByScheduleIdQuery, and V2 of
// it.
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
	ScheduleID maybe[id]     `json:"scheduleId"`
	Cursor     maybe[string] `json:"cursor"` // ours, of the history
	Limit      maybe[int32]  `json:"limit"`  // ours
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

// schedule is a visit. There are no tasks, purchases, prescriptions or other
// works: those lists are always empty.
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

// scheduleOccupied is one stretch of a visit: an item of update-reservation
// with an id.
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
	Cursor             maybe[string] `json:"cursor"`
	Offset             maybe[int32]  `json:"offset"`
	Limit              maybe[int32]  `json:"limit"`
}

// searchVisitors is protos.open.SearchVisitors.
type searchVisitors struct {
	Cursor            maybe[string]     `json:"cursor"` // ours
	Offset            maybe[int32]      `json:"offset"`
	Limit             maybe[int32]      `json:"limit"`
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
