package conform

// Rule is one thing that is checked. Its id begins with its group's.
type Rule struct {
	ID       string `json:"id"`
	Expected string `json:"expected"`
	Repair   string `json:"repair"`
	Source   string `json:"source"`
}

// The sources of the rules. Rules that Google does not spell out are marked: inferred.
const (
	actionsCenter = "https://developers.google.com/actions-center/"
	e2e           = actionsCenter + "verticals/reservations/e2e/"

	implementing = e2e + "integration-steps/implement-booking-server"
	configuring  = e2e + "integration-steps/setup/config-booking-server"
	ready        = e2e + "integration-steps/booking-server-ready"
	lookups      = ready + "/batchavailabilitylookup"
	creating     = ready + "/createbooking"
	updating     = ready + "/updatebooking"
	monitoring   = e2e + "integration-steps/launch-and-monitoring"
	practices    = e2e + "reference/tutorials/best-practices"
	statusCodes  = "Status codes (…/booking-server-api-rest/e2e-methods/status-codes)"
	failures     = "BookingFailure (…/booking-server-api-rest/e2e-definitions/bookingfailure-definition)"
	bookings     = "Booking, BookingStatus, Slot, UserInformation (…/booking-server-api-rest/e2e-definitions)"
	samples      = e2e + "reference/booking-server-code-samples/dining-payload-sample"
	statusMethod = actionsCenter + "legacy/reference/booking-server/getbookingstatus-method"
	listMethod   = actionsCenter + "legacy/reference/booking-server/listbookings-method"
	certifying   = "https://developers.google.com/maps-booking/guides/end-to-end-integration/test-booking-server"
	skeletons    = "Google's booking server skeletons"
	inferred     = ", inferred"
)

// rules are all rules, in the order of the groups.
var rules = []Rule{
	{
		"health.serving", "GET /v3/HealthCheck with the credentials is answered with 200",
		"Answer 200 as long as bookings can be taken. Google asks all the time and switches the integration off when it hears anything else.",
		monitoring,
	},

	{
		"auth.none", "every method answers 401 to a request without credentials, HealthCheck too",
		"Look at the credentials before anything else: before the path, the verb and the body.",
		configuring,
	},
	{
		"auth.wrong", "every method answers 401 to a request with a wrong password, HealthCheck too",
		"Compare user and password. 403 is for callers that are known and rejected.",
		configuring + "; " + statusCodes,
	},

	{
		"availability.answer", "a lookup of a page of slots is answered with 200",
		"Implement POST /v3/BatchAvailabilityLookup: it is required of all new partners.",
		lookups,
	},
	{
		"availability.count", "exactly one answer for each slot that was asked about",
		"Make the answer by walking the request's slot_time. Leave nothing out, also what is unknown or full.",
		lookups,
	},
	{
		"availability.order", "the answers are in the order of the slots",
		"Make the answer by walking the request's slot_time, not by walking what a database returned.",
		lookups + inferred + " from its samples",
	},
	{
		"availability.echo", "each answer's slot_time repeats the slot: service_id, start_sec, duration_sec, resource_ids, availability_tag",
		"Put the request's SlotTime itself into the answer.",
		samples,
	},
	{
		"availability.written", "each answer says \"available\": true or \"available\": false",
		"Protobuf's JSON leaves a false out: write it yourself, declare the field optional, or let the printer include default values.",
		lookups + inferred + " from its samples",
	},
	{
		"availability.open", "slots that the feed has open are available",
		"Upload feeds from the same data that the server answers from. A slot that Google shows and the server does not have is an error in Google's statistics.",
		lookups,
	},
	{
		"availability.click", "a lookup of one slot has one answer",
		"Answer a slot click as a page load, with one entry.",
		lookups,
	},
	{
		"availability.services", "one request may ask about several services of a merchant",
		"Look at each slot's own service_id.",
		lookups + "/samples-definitions",
	},
	{
		"availability.days", "one request may ask about several days",
		"Look at each slot's own start_sec.",
		lookups + "/samples-definitions",
	},
	{
		"availability.unknown-time", "a time that was never published is available: false, in a 200",
		"Do not refuse the whole request for one slot that is not there: feeds are up to a day old.",
		lookups + inferred,
	},
	{
		"availability.unknown-merchant", "an unknown merchant is answered with 400",
		"Answer 400 if the merchant_id is not one of yours.",
		statusCodes,
	},
	{
		"availability.unknown-service", "an unknown service is answered with 400",
		"Answer 400 if the merchant has no such service_id.",
		statusCodes,
	},

	{
		"create.booked", "a slot of the feed that is available can be booked",
		"See what came. A SLOT_UNAVAILABLE after a lookup that said available counts as false availability and can switch the integration off.",
		creating,
	},
	{
		"create.id", "the booking has a booking_id, which no other booking has",
		"Give every booking an id of its own and return it.",
		practices,
	},
	{
		"create.status", "status is CONFIRMED, or PENDING_MERCHANT_CONFIRMATION of asynchronous slots",
		"Return the booking's status by its word in BookingStatus.",
		creating,
	},
	{
		"create.slot", "the booking's slot is the one that was asked for",
		"Return merchant_id, service_id, start_sec, duration_sec and resources of the request.",
		creating,
	},
	{
		"create.guest", "the booking's user_information is the one that was given",
		"Return user_id, given_name, family_name, telephone and email of the request; do not answer with a guest known from elsewhere.",
		creating,
	},
	{
		"create.then-taken", "after the last spot is booked a lookup says available: false",
		"Answer lookups from the bookings as they are now, not from a cache or a feed.",
		lookups,
	},
	{
		"create.then-status", "GetBookingStatus says the same status as CreateBooking",
		"Answer both from the same booking.",
		statusMethod,
	},
	{
		"create.unknown-merchant", "a booking at an unknown merchant is answered with 400",
		"An id that you have never heard of is an HTTP error, not a booking_failure.",
		statusCodes,
	},
	{
		"create.unknown-service", "a booking of an unknown service is answered with 400",
		"An id that you have never heard of is an HTTP error, not a booking_failure.",
		statusCodes,
	},

	{
		"replay.same-booking", "the same request again returns the booking that it made",
		"Keep the idempotency_token with the booking, under a unique constraint, and return that booking when the token comes again. Google repeats requests that get no answer.",
		creating,
	},
	{
		"replay.same-answer", "the same request again gets the same answer",
		"Return the whole booking again, not a shorter form of it.",
		creating,
	},
	{
		"replay.first-wins", "another request under a known token gets the token's booking, and makes none",
		"The token alone decides. Count such requests: they show that something is wrong, but a second booking must not come of it.",
		creating + inferred,
	},

	{
		"tokens.one-booking", "copies of one request at the same time all get the same booking",
		"Let a unique constraint on the token decide, in the transaction that makes the booking; whoever loses waits for it and returns the winner's booking.",
		creating + inferred,
	},

	{
		"race.exact", "a slot can be filled exactly to its number of spots, however many ask at once",
		"Check and take a spot in one transaction that locks the slot.",
		certifying,
	},
	{
		"race.refusals", "a full slot is refused with 200 and booking_failure SLOT_UNAVAILABLE, never with an HTTP error",
		"A business \"no\" is a 200 with a booking_failure. HTTP errors, 409 too, count as outages of the server.",
		statusCodes + "; " + failures,
	},
	{
		"race.distinct", "every booking has a booking_id of its own",
		"Do not make ids of the time or a counter that is read and written apart.",
		practices,
	},
	{
		"race.then-full", "a lookup of the full slot says available: false",
		"Answer lookups from the bookings as they are now.",
		lookups,
	},

	{
		"retry.refused", "a full slot is refused with 200 and booking_failure SLOT_UNAVAILABLE",
		"A business \"no\" is a 200 with a booking_failure.",
		statusCodes + "; " + failures,
	},
	{
		"retry.anew", "a request that failed is a new attempt when it comes again, and succeeds if there is room by then",
		"Do not keep failures under the token: keep it only with a booking.",
		creating + "; " + certifying,
	},

	{
		"list.all", "ListBookings has all future bookings of the user",
		"Look bookings up by user_information.user_id, at all merchants.",
		listMethod,
	},
	{
		"list.mine", "ListBookings has no bookings of other users",
		"Look bookings up by user_information.user_id.",
		listMethod,
	},
	{
		"list.live", "ListBookings has only bookings that are in the future and stand",
		"Leave past and cancelled bookings out.",
		listMethod,
	},
	{
		"list.cancelled", "ListBookings leaves a cancelled booking out",
		"Leave past and cancelled bookings out.",
		listMethod,
	},
	{
		"list.unknown", "an unknown user is answered with 404 or an empty list",
		"Do not answer 400 or 500 for a user who has not booked yet.",
		listMethod + inferred + "; " + skeletons,
	},

	{
		"status.answer", "GetBookingStatus has the booking_id and the booking_status",
		"Return both; booking_status by its word in BookingStatus.",
		statusMethod,
	},
	{
		"status.prepayment", "GetBookingStatus has a prepayment_status",
		"It is required; without payments it is PREPAYMENT_NOT_PROVIDED.",
		statusMethod,
	},
	{
		"status.unknown", "an unknown booking is answered with 404",
		"Answer 404 if there is no such booking, whatever the id looks like.",
		statusCodes + "; " + skeletons,
	},

	{
		"reschedule.moved", "UpdateBooking with start_sec and duration_sec alone moves the booking, and the answer has the new time",
		"What the request leaves out stays as it is: take merchant, service and resources from the stored booking.",
		updating,
	},
	{
		"reschedule.same-id", "a moved booking keeps its booking_id",
		"Change the booking; do not cancel it and make another.",
		updating,
	},
	{
		"reschedule.whole", "the answer has the whole booking: slot with merchant, service and resources, status CONFIRMED, user_information",
		"Return the booking as CreateBooking does.",
		updating,
	},
	{
		"reschedule.old-free", "the slot that the booking left is available again",
		"Give the old spot back in the transaction that takes the new one.",
		lookups + inferred,
	},
	{
		"reschedule.new-taken", "the slot that the booking took is not available any more",
		"Take the new spot in the transaction that gives the old one back.",
		lookups + inferred,
	},
	{
		"reschedule.again", "the same change again succeeds",
		"A booking that is already where it should be is a success: Google may repeat a request that got no answer.",
		updating + inferred,
	},

	{
		"cancel.canceled", "UpdateBooking with status CANCELED is answered with the booking and status CANCELED, with one L",
		"Return the booking with the word CANCELED of BookingStatus. (BOOKING_ALREADY_CANCELLED, a cause, has two.)",
		updating + "; " + bookings,
	},
	{
		"cancel.again", "cancelling again is a success or BOOKING_ALREADY_CANCELLED, in a 200",
		"Google may repeat a request that got no answer.",
		failures,
	},
	{
		"cancel.status", "GetBookingStatus says CANCELED",
		"Keep cancelled bookings, and answer with their status.",
		statusMethod,
	},
	{
		"cancel.free", "the spot can be booked again",
		"Give the spot back in the transaction that cancels the booking.",
		lookups + inferred,
	},
	{
		"cancel.unknown", "cancelling a booking that never existed is answered with 400",
		"An id that you have never heard of is an HTTP error: there is no such cause as BOOKING_NOT_FOUND.",
		statusCodes,
	},

	{
		"readiness.page-load", "20 page loads, at least 90 % of them without error",
		"See the last error.",
		ready,
	},
	{
		"readiness.slot-click", "20 slot clicks, at least 90 % of them without error",
		"See the last error.",
		ready,
	},
	{
		"readiness.create", "10 CreateBookings that succeed, less than 10 % errors; a booking_failure is one",
		"See the last error.",
		ready,
	},
	{
		"readiness.update", "10 UpdateBookings that succeed, less than 10 % errors; a booking_failure is one",
		"See the last error.",
		ready,
	},

	{
		"formats.slash", "every path is answered with a trailing slash and without one",
		"Route both: Google's tables print the slash, the portal's example has none. Do not redirect.",
		implementing + inferred + "; " + skeletons,
	},
	{
		"formats.numbers", "64-bit integers are read as strings and as numbers",
		"\"start_sec\": \"1606467600\" and \"start_sec\": 1606467600 are the same in protobuf's JSON.",
		"protobuf's JSON mapping; Google's samples have both",
	},
	{
		"formats.unknown-fields", "fields that the server does not know are ignored, at every level",
		"Let the reader of JSON ignore unknown fields: Google adds some without notice.",
		"Google's messages grow" + inferred,
	},
	{
		"formats.content-type", "answers have Content-Type: application/json",
		"Set the header.",
		skeletons,
	},
	{
		"formats.types", "every success is JSON that Google's message can be read from",
		"Texts are strings, numbers are numbers or strings of digits, lists are lists.",
		"protobuf's JSON mapping",
	},
	{
		"formats.names", "fields are spelled in snake_case, as in the .proto",
		"Print with the proto's own names: preservingProtoFieldNames() in Java, UseProtoNames in Go, preserving_proto_field_name in Python.",
		samples + "; " + skeletons,
	},
	{
		"formats.enums", "enumerations are written by words that they have",
		"Take the words from the definitions, in upper case. CONFIRMED is one; CONFIRM, Confirmed and 1 are not.",
		bookings,
	},
	{
		"formats.causes", "every booking_failure has one of the causes of BookingFailure",
		"Take the cause from the definition. What is unknown (a merchant, a booking) is no cause but an HTTP 400.",
		failures,
	},

	{
		"latency.lookup", "BatchAvailabilityLookup within 1.5 s, in 97 of 100 calls",
		"Read all slots of a request at once, by an index. After 1.5 s Google shows what the feed had.",
		monitoring + "; " + lookups,
	},
	{
		"latency.booking", "CreateBooking and UpdateBooking within 4 s, in 95 of 100 calls",
		"Do what can wait (mails, other systems) after the answer.",
		monitoring,
	},
	{
		"latency.second", "any call within 1 s (advised)",
		"See the table of latencies.",
		practices,
	},
	{
		"latency.sustained", "5 requests a second are answered, 95 of 100 of them within a second",
		"Serve requests side by side.",
		practices,
	},
}
