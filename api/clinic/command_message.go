package clinic

import (
	"holdfast/booking"
)

// The wire structs of the commands, spelled as on the contract's pages, in the order of the schema.
// Every member is a maybe: whether it is required is a row of the decision table, not a matter of
// types.

// id is an id that we look up among the clinic's. One of 24 hex digits gets lower case when it is
// read, because both cases mean the same.
type id string

// updateReservation is protos.open.OpenUpdateReservationCommandV2.
type updateReservation struct {
	ScheduleID maybe[id] `json:"scheduleId"`
	reservation
	Version maybe[int32] `json:"version"` // ours
}

// reserve is the body of reserve V2.
type reserve struct {
	VisitorName  maybe[string] `json:"visitorName"`
	VisitorPhone maybe[string] `json:"visitorPhone"`
	reservation
}

// reserveByVisitorID is the body of reserve-by-visitor-id V2.
type reserveByVisitorID struct {
	VisitorID maybe[id] `json:"visitorId"`
	reservation
}

// reservation is what the commands say about a visit, whoever comes.
type reservation struct {
	ZoneID               maybe[id]                   `json:"zoneId"`
	OccupiedResources    maybe[[]occupiedResource]   `json:"occupiedResources"`
	ReservationAssignee  maybe[person]               `json:"reservationAssignee"`
	ConsultationRequired maybe[bool]                 `json:"consultationRequired"`
	SedationRequired     maybe[bool]                 `json:"sedationRequired"`
	Counselor            maybe[practitioner]         `json:"counselor"`
	Funnel               maybe[reservationFunnel]    `json:"funnel"`
	ReservationMemo      maybe[string]               `json:"reservationMemo" text:"long"`
	RequestedProcedures  maybe[[]requestedProcedure] `json:"requestedProcedures"`
	ConnectedChannel     maybe[channel]              `json:"connectedChannel"`
}

// newSchedule is the answer to a command that makes a visit.
type newSchedule struct {
	ScheduleID string `json:"scheduleId"`
}

// cancelReservation is the body of cancel-reservation.
type cancelReservation struct {
	ScheduleID maybe[id]           `json:"scheduleId"`
	Reason     maybe[cancelReason] `json:"reason"`
	Version    maybe[int32]        `json:"version"` // ours
}

// oneSchedule is the body of a command that needs only the visit.
type oneSchedule struct {
	ScheduleID maybe[id]    `json:"scheduleId"`
	Version    maybe[int32] `json:"version"` // ours
}

// createOccupiedTime is the body of create-occupied-time.
type createOccupiedTime struct {
	ReservationGroupID maybe[id] `json:"reservationGroupId"`
	ZoneID             maybe[id] `json:"zoneId"`
	period
	Doctor maybe[practitioner] `json:"doctor"`
	Memo   maybe[string]       `json:"memo" text:"long"`
}

// oneOccupiedTime names a blocked time: the body of delete-occupied-time.
type oneOccupiedTime struct {
	OccupiedTimeID maybe[id] `json:"occupiedTimeId"`
}

// newOccupiedTime is the answer of create-occupied-time.
type newOccupiedTime struct {
	OccupiedTimeID string `json:"occupiedTimeId"`
}

// period is the start and end of whatever has them.
type period struct {
	StartDateTimeUtc maybe[string] `json:"startDateTimeUtc"`
	EndDateTimeUtc   maybe[string] `json:"endDateTimeUtc"`
}

// occupiedResource is protos.open.OccupiedResource.
type occupiedResource struct {
	period
	ReservationGroup maybe[reservationGroup] `json:"reservationGroup" oneof:"member"`
	// Configuration is the oneof's name and not a member. Only rows B4 and B5 look whether
	// somebody took it for one.
	Configuration maybe[any] `json:"configuration"`
}

// reservationGroup is protos.open.OccupiedReservationGroupResource.
type reservationGroup struct {
	ReservationGroupID maybe[id]           `json:"reservationGroupId"`
	ZoneID             maybe[id]           `json:"zoneId"`
	Doctor             maybe[practitioner] `json:"doctor"`
}

// personOf is somebody who works at the clinic.
type personOf[ID ~string] struct {
	ID   maybe[ID]     `json:"id"`
	Name maybe[string] `json:"name"`
}

func (p personOf[ID]) named() *string { return p.Name.Value }

type (
	// practitioner is protos.schedule.Doctor and Counselor.
	practitioner = personOf[id]
	// person is protos.schedule.ReservationAssignee, whose id may be any text.
	person = personOf[string]
)

// reservationFunnel is protos.schedule.ReservationFunnel.
type reservationFunnel struct {
	Funnel         maybe[code]   `json:"funnel,omitzero"`
	FunnelDetail   maybe[string] `json:"funnelDetail,omitzero" text:"long"`
	FunnelCategory maybe[code]   `json:"funnelCategory,omitzero"`
}

// code is protos.tenant.Code.
type code struct {
	ID       maybe[string]       `json:"id,omitzero"`
	Category maybe[codeCategory] `json:"category,omitzero"`
	Name     maybe[string]       `json:"name,omitzero"`
	Order    maybe[int32]        `json:"order,omitzero"`
	Closed   maybe[bool]         `json:"closed,omitzero"`
	Color    maybe[codeColor]    `json:"color,omitzero"`
	Default  maybe[bool]         `json:"default,omitzero"`
}

// requestedProcedure is protos.schedule.ReservationRequestedProcedure.
type requestedProcedure struct {
	Type                maybe[procedureType]       `json:"type,omitzero"`
	OptionConfiguration maybe[optionConfiguration] `json:"optionConfiguration,omitzero"`
	TicketConfiguration maybe[ticketConfiguration] `json:"ticketConfiguration,omitzero"`
}

// optionConfiguration is protos.schedule.ReservationRequestedOptionConfiguration.
type optionConfiguration struct {
	OptionID       maybe[string]         `json:"optionId,omitzero"`
	OptionTitle    maybe[string]         `json:"optionTitle,omitzero"`
	ProductTitle   maybe[string]         `json:"productTitle,omitzero"`
	PromotionTitle maybe[string]         `json:"promotionTitle,omitzero"`
	Price          maybe[optionPrice]    `json:"price,omitzero"`
	MedicalService maybe[medicalService] `json:"medicalService,omitzero"`
}

// optionPrice is protos.schedule.ReservationRequestedOptionPrice.
type optionPrice struct {
	Amount   maybe[int32]       `json:"amount,omitzero"`
	Currency maybe[string]      `json:"currency,omitzero"`
	Reason   maybe[priceReason] `json:"reason,omitzero"`
}

// priceReason is protos.schedule.ReservationRequestedOptionPriceReason.
type priceReason struct {
	Type          maybe[priceReasonType] `json:"type,omitzero"`
	PromotionID   maybe[string]          `json:"promotionId,omitzero"`
	VisitorTypeID maybe[string]          `json:"visitorTypeId,omitzero"`
}

// ticketConfiguration is protos.schedule.ReservationRequestedTicketConfiguration.
type ticketConfiguration struct {
	TicketID       maybe[string]         `json:"ticketId,omitzero"`
	TicketTitle    maybe[string]         `json:"ticketTitle,omitzero"`
	OptionTitle    maybe[string]         `json:"optionTitle,omitzero"`
	MedicalService maybe[medicalService] `json:"medicalService,omitzero"`
}

// medicalService is protos.procedure.medical_service.MedicalService.
type medicalService struct {
	ID                   maybe[string]                      `json:"id,omitzero"`
	Title                maybe[string]                      `json:"title,omitzero"`
	TranslsMap           maybe[map[string]transls]          `json:"translsMap,omitzero"`
	Status               maybe[medicalServiceStatus]        `json:"status,omitzero"`
	Deleted              maybe[bool]                        `json:"deleted,omitzero"`
	Configuration        maybe[medicalServiceConfiguration] `json:"configuration,omitzero"`
	DraftedDateTimeUtc   maybe[string]                      `json:"draftedDateTimeUtc,omitzero"`
	UpdatedDateTimeUtc   maybe[string]                      `json:"updatedDateTimeUtc,omitzero"`
	PriceAmount          maybe[priceAmount]                 `json:"priceAmount,omitzero"`
	Description          maybe[string]                      `json:"description,omitzero" text:"long"`
	Caution              maybe[string]                      `json:"caution,omitzero" text:"long"`
	RecommendedInterval  maybe[int32]                       `json:"recommendedInterval,omitzero"`
	ContributionConstant maybe[int32]                       `json:"contributionConstant,omitzero"`
	DurationTime         maybe[float64]                     `json:"durationTime,omitzero"`
}

// transls is protos.Transls.
type transls struct {
	Translation maybe[map[string]string] `json:"translation,omitzero" text:"long"`
}

// medicalServiceConfiguration is
// protos.procedure.medical_service.MedicalServiceConfiguration.
type medicalServiceConfiguration struct {
	Code                    maybe[string]                  `json:"code,omitzero"`
	Procedure               maybe[medicalItem]             `json:"procedure,omitzero"`
	Machines                maybe[[]medicalItem]           `json:"machines,omitzero"`
	Medicines               maybe[[]medicalItem]           `json:"medicines,omitzero"`
	Unit                    maybe[unit]                    `json:"unit,omitzero"`
	HealthcareReimbursement maybe[healthcareReimbursement] `json:"healthcareReimbursement,omitzero"`
	Taxation                maybe[taxation]                `json:"taxation,omitzero"`
}

// medicalItem is protos.procedure.medical_service.MedicalServiceProcedure,
// MedicalServiceMachine and MedicalServiceMedicine.
type medicalItem struct {
	ID                 maybe[string] `json:"id,omitzero"`
	Name               maybe[string] `json:"name,omitzero"`
	SearchPhoneticName maybe[string] `json:"searchPhoneticName,omitzero"`
}

// unit is protos.procedure.Unit.
type unit struct {
	Type  maybe[unitType] `json:"type,omitzero"`
	Value maybe[int32]    `json:"value,omitzero"`
}

// priceAmount is protos.procedure.PriceAmount.
type priceAmount struct {
	Value    maybe[int32]  `json:"value,omitzero"`
	Currency maybe[string] `json:"currency,omitzero"`
}

// channelUnspecified is the contract's spelling of the channel's zero word, typo included;
// Channel_UNSPECIFIED is not one of its words. It means "not said".
const channelUnspecified = "Channel_UNSPEICIFED"

// The enumerations.
type (
	channel                 string
	cancelReason            string
	codeCategory            string
	codeColor               string
	procedureType           string
	priceReasonType         string
	medicalServiceStatus    string
	unitType                string
	healthcareReimbursement string
	taxation                string
)

// The words that the rules know.
const (
	procedureUnspecified procedureType = "RESERVATION_REQUESTED_PROCEDURE_TYPE_UNSPECIFIED"
	procedureOption      procedureType = "OPTION"
	procedureTicket      procedureType = "TICKET"
)

func (channel) words() []string {
	return []string{channelUnspecified, "GANGNAMUNNI", "HOMEPAGE", "KOS_CONNECT"}
}

// reasons maps the reason for calling a visit off to the settlement.
var reasons = map[cancelReason]booking.Settlement{"CANCELED": booking.CallOff, "NO_SHOW": booking.Missed}

func (cancelReason) words() []string { return []string{"CANCELED", "NO_SHOW"} }

func (codeCategory) words() []string {
	return []string{
		"CODE_CATEGORY_UNSPECIFIED", "FUNNEL", "EXPOSURE_CHANNEL", "ETCETRA_PRODUCT_CATEGORY", "IMAGE_EQUIPMENT",
		"CALL_CONSULTATION_RESULT", "IMAGE_CATEGORY", "FUNNEL_CATEGORY", "VISITOR_CATEGORY", "ACCOUNT_STATUS",
	}
}

func (codeColor) words() []string {
	return []string{"CodeColor_UNSPECIFIED", "RED", "LAVA", "ORANGE", "GREEN", "CYAN", "BLUE", "PURPLE", "MAGENTA", "GRAY"}
}

func (procedureType) words() []string {
	return []string{string(procedureUnspecified), string(procedureOption), string(procedureTicket)}
}

func (priceReasonType) words() []string {
	return []string{"RESERVATION_REQUESTED_OPTION_PRICE_REASON_TYPE_UNSPECIFIED", "GENERAL", "PROMOTION", "VISITOR_TYPE"}
}

func (medicalServiceStatus) words() []string {
	return []string{"MedicalServiceStatus_UNKNOWN", "DRAFT", "PUBLISHED"}
}

func (unitType) words() []string {
	return []string{
		"UnitType_UNKNOWN", "UNIT", "CC", "VIAL", "PEN", "STRING", "SHOT", "PAD", "MINUTE", "KJ", "QUANTITY", "DOT",
		"J", "MG", "G", "PULSE", "BOTTLE", "SYRINGE", "PASS", "IU", "KHZ", "MHZ",
	}
}

func (healthcareReimbursement) words() []string {
	return []string{"HealthcareReimbursement_UNKNOWN", "REIMBURSABLE", "NON_REIMBURSABLE"}
}

func (taxation) words() []string {
	return []string{"Taxation_UNKNOWN", "TAXABLE", "TAX_FREE", "MIXED"}
}
