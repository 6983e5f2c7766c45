package clinic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/api/edge"
	"holdfast/booking"
	"holdfast/inventory"
)

// refused is the envelope of one property.
func refused(class, key, reason string) string {
	return fmt.Sprintf(`{"status":400,"message":%q,"className":%q,"errorProperties":[{"key":%q,"reason":%q}]}`, class, class, key, reason)
}

func stretch(start, end string) string {
	return fmt.Sprintf(`{"startDateTimeUtc":%q,"endDateTimeUtc":%q,"reservationGroup":{"reservationGroupId":"g","zoneId":"z1"}}`, start, end)
}

// kim is a doctor's id.
const kim = "65c0000000000000000000aa"

var morning = stretch("2026-03-02T01:00:00Z", "2026-03-02T01:30:00Z")

// commandOf is a command with these stretches and more members.
func commandOf(items string, more ...string) string {
	return `{"scheduleId":"s","zoneId":"z","occupiedResources":[` + items + `]` + strings.Join(append([]string{""}, more...), ",") + `}`
}

// command1 is a command with one stretch and more members.
func command1(more ...string) string { return commandOf(morning, more...) }

// readChange takes a body through the rows A2 to B17.
func readChange(body string, loc *time.Location) (booking.Change, error) {
	req, err := decode[updateReservation]([]byte(body))
	if err != nil {
		return booking.Change{}, err
	}
	if err := req.check(dayIn(loc)); err != nil {
		return booking.Change{}, err
	}
	c, err := req.change("clinic-1")
	c.ScheduleID, c.Seen = lookup(req.ScheduleID), seen(req.Version)
	return c, err
}

// placed is a database that knows where a clinic is, and nothing else.
type placed struct {
	booking.Store
	loc *time.Location
}

func (c placed) Merchant(context.Context, string) (*inventory.Merchant, error) {
	return &inventory.Merchant{Location: c.loc}, nil
}

func (c placed) Refreshed(ctx context.Context, id string) (*inventory.Merchant, error) {
	return c.Merchant(ctx, id)
}

// dayIn asks about the calendar of a clinic there.
func dayIn(loc *time.Location) otherDay {
	s := &server{bookings: &booking.Service{Store: placed{loc: loc}}}
	return s.dayAt(context.Background())
}

func location(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// The decision table of update-reservation, rows A2 to B17: the exact bytes of the answer, or "" if the
// command passes these rows.
func TestDecisionTable(t *testing.T) {
	seoul := location(t, "Asia/Seoul")
	command := func(key, reason string) string { return refused("InvalidCommandException", key, reason) }
	item := func(group string) string {
		return `{"startDateTimeUtc":"2026-03-02T01:00:00Z","endDateTimeUtc":"2026-03-02T01:30:00Z"` + group + `}`
	}
	doctor := func(d string) string {
		return item(`,"reservationGroup":{"reservationGroupId":"g","zoneId":"z1","doctor":` + d + `}`)
	}
	procedures := func(p string) string { return command1(`"requestedProcedures":[` + p + `]`) }
	option := func(more string) string {
		return `{"type":"OPTION","optionConfiguration":{"optionId":"o","optionTitle":"t","price":{}` + more + `}}`
	}
	medical := func(member string) string { return procedures(option(`,"medicalService":{` + member + `}`)) }
	const medicalPath = "requestedProcedures[0].optionConfiguration.medicalService"
	for _, c := range []struct{ name, body, want string }{
		{"A2 empty body", "", command("body", "NotAvailable")},
		{"A2 no JSON", "{", command("body", "NotAvailable")},
		{"A2 an array", "[]", command("body", "NotAvailable")},
		{"A2 a string", `"x"`, command("body", "NotAvailable")},
		{"A2 null", "null", command("body", "NotAvailable")},
		{"A2 garbage behind it", command1() + "x", command("body", "NotAvailable")},
		{"A2 two documents", command1() + command1(), command("body", "NotAvailable")},
		{"A2 not UTF-8", strings.Replace(command1(), `"s"`, "\"\xff\"", 1), command("body", "NotAvailable")},
		{"A2 a member twice", command1(`"zoneId":"y"`), command("body", "NotAvailable")},
		{"A2 scheduleId a number", `{"scheduleId":7}`, command("scheduleId", "NotAvailable")},
		{"A2 zoneId an object", `{"zoneId":{}}`, command("zoneId", "NotAvailable")},
		{"A2 occupiedResources an object", `{"occupiedResources":{}}`, command("occupiedResources", "NotAvailable")},
		{"A2 item a string", commandOf(`{},"x"`), command("occupiedResources[1]", "NotAvailable")},
		{"A2 item null", commandOf(`null`), command("occupiedResources[0]", "NotAvailable")},
		{"A2 start a number", commandOf(`{"startDateTimeUtc":1}`), command("occupiedResources[0].startDateTimeUtc", "NotAvailable")},
		{"A2 end true", commandOf(`{"endDateTimeUtc":true}`), command("occupiedResources[0].endDateTimeUtc", "NotAvailable")},
		{"A2 group a string", commandOf(`{"reservationGroup":"g"}`), command("occupiedResources[0].reservationGroup", "NotAvailable")},
		{"A2 group id a number", commandOf(`{"reservationGroup":{"reservationGroupId":1}}`), command("occupiedResources[0].reservationGroupId", "NotAvailable")},
		{"A2 zone of a group a number", commandOf(`{"reservationGroup":{"zoneId":1}}`), command("occupiedResources[0].zoneId", "NotAvailable")},
		{"A2 doctor an array", commandOf(`{"reservationGroup":{"doctor":[]}}`), command("occupiedResources[0].doctor", "NotAvailable")},
		{"A2 doctor id a number", commandOf(`{"reservationGroup":{"doctor":{"id":1}}}`), command("occupiedResources[0].doctor.id", "NotAvailable")},
		{"A2 assignee a string", `{"reservationAssignee":"x"}`, command("reservationAssignee", "NotAvailable")},
		{"A2 assignee name a number", `{"reservationAssignee":{"name":1}}`, command("reservationAssignee.name", "NotAvailable")},
		{"A2 consultationRequired a word", `{"consultationRequired":"true"}`, command("consultationRequired", "NotAvailable")},
		{"A2 sedationRequired a number", `{"sedationRequired":0}`, command("sedationRequired", "NotAvailable")},
		{"A2 counselor id an object", `{"counselor":{"id":{}}}`, command("counselor.id", "NotAvailable")},
		{"A2 funnel order a string", `{"funnel":{"funnel":{"order":"1"}}}`, command("funnel.funnel.order", "NotAvailable")},
		{"A2 funnel order a fraction", `{"funnel":{"funnelCategory":{"order":1.5}}}`, command("funnel.funnelCategory.order", "NotAvailable")},
		{"A2 memo a number", `{"reservationMemo":1}`, command("reservationMemo", "NotAvailable")},
		{"A2 procedures an object", `{"requestedProcedures":{}}`, command("requestedProcedures", "NotAvailable")},
		{"A2 procedure type a number", `{"requestedProcedures":[{"type":1}]}`, command("requestedProcedures[0].type", "NotAvailable")},
		{"A2 amount of more than 32 bits", `{"requestedProcedures":[{},{"optionConfiguration":{"price":{"amount":2147483648}}}]}`, command("requestedProcedures[1].optionConfiguration.price.amount", "NotAvailable")},
		{"A2 duration a string", `{"requestedProcedures":[{"ticketConfiguration":{"medicalService":{"durationTime":"1"}}}]}`, command("requestedProcedures[0].ticketConfiguration.medicalService.durationTime", "NotAvailable")},
		{"A2 duration beyond any double", `{"requestedProcedures":[{"ticketConfiguration":{"medicalService":{"durationTime":1e999}}}]}`, command("requestedProcedures[0].ticketConfiguration.medicalService.durationTime", "NotAvailable")},
		{"A2 machines null inside", medical(`"configuration":{"machines":[{},null]}`), command(medicalPath+".configuration.machines[1]", "NotAvailable")},
		{"A2 unit value a string", medical(`"configuration":{"unit":{"value":"1"}}`), command(medicalPath+".configuration.unit.value", "NotAvailable")},
		{"A2 translations an array", medical(`"translsMap":[]`), command(medicalPath+".translsMap", "NotAvailable")},
		{"A2 a translation a number, without its language", medical(`"translsMap":{"ko":{"translation":{"title":1}}}`), command(medicalPath+".translsMap", "NotAvailable")},
		{"A2 channel a number", `{"connectedChannel":1}`, command("connectedChannel", "NotAvailable")},
		{"A2 the first in the order of the schema", `{"connectedChannel":1,"sedationRequired":1,"counselor":1,"occupiedResources":[{"endDateTimeUtc":1,"startDateTimeUtc":1}]}`, command("occupiedResources[0].startDateTimeUtc", "NotAvailable")},
		{"A2 before B1", `{"connectedChannel":1}`, command("connectedChannel", "NotAvailable")},
		{"A2a another case", strings.Replace(command1(), `"scheduleId"`, `"ScheduleId"`, 1), command("scheduleId", "NotAvailable")},
		{"A2a underscores", command1(`"reservation_memo":"m"`), command("reservationMemo", "NotAvailable")},
		{"A2a hyphens", command1(`"connected-channel":"HOMEPAGE"`), command("connectedChannel", "NotAvailable")},
		{"A2a small letters", command1(`"sedationrequired":true`), command("sedationRequired", "NotAvailable")},
		{"A2a beside the member itself", command1(`"reservationMemo":"a","RESERVATION_MEMO":"b"`), command("reservationMemo", "NotAvailable")},
		{"A2a null", command1(`"Counselor":null`), command("counselor", "NotAvailable")},
		{"A2a of another type", command1(`"consultation_required":"yes"`), command("consultationRequired", "NotAvailable")},
		{"A2a version", command1(`"Version":1`), command("version", "NotAvailable")},
		{"A2a in an item", commandOf(strings.Replace(morning, "endDateTimeUtc", "endDateTimeUTC", 1)), command("occupiedResources[0].endDateTimeUtc", "NotAvailable")},
		{"A2a the group of the second item", commandOf(morning + "," + item(`,"reservation_group":{}`)), command("occupiedResources[1].reservationGroup", "NotAvailable")},
		{"A2a in the group, without its name", commandOf(item(`,"reservationGroup":{"reservationGroupId":"g","zone_id":"z1"}`)), command("occupiedResources[0].zoneId", "NotAvailable")},
		{"A2a in the doctor", commandOf(doctor(`{"id":"` + kim + `","Name":"n"}`)), command("occupiedResources[0].doctor.name", "NotAvailable")},
		{"A2a in the assignee", command1(`"reservationAssignee":{"ID":"a","name":"n"}`), command("reservationAssignee.id", "NotAvailable")},
		{"A2a in the funnel", command1(`"funnel":{"funnel":{"COLOR":"RED"}}`), command("funnel.funnel.color", "NotAvailable")},
		{"A2a in a procedure", procedures(option("") + `,{"Type":"OPTION"}`), command("requestedProcedures[1].type", "NotAvailable")},
		{"A2a in a price", procedures(`{"type":"OPTION","optionConfiguration":{"optionId":"o","optionTitle":"t","price":{"AMOUNT":1}}}`), command("requestedProcedures[0].optionConfiguration.price.amount", "NotAvailable")},
		{"A2a in a machine", medical(`"configuration":{"machines":[{},{"search_phonetic_name":"x"}]}`), command(medicalPath+".configuration.machines[1].searchPhoneticName", "NotAvailable")},
		{"A2a in a translation, without its language", medical(`"translsMap":{"ko":{"Translation":{}}}`), command(medicalPath+".translsMap", "NotAvailable")},
		{"A2a the names of a translation are the caller's", medical(`"translsMap":{"Title":{"translation":{"TITLE":"x","title":"y"}}}`), ""},
		{"A2a the first in the order of the schema", command1(`"connected_channel":"X","Funnel":{},"zone_id":"x"`), command("zoneId", "NotAvailable")},
		{"A2a of A2", command1(`"Funnel":{},"connectedChannel":1`), command("connectedChannel", "NotAvailable")},
		{"A2a before B1", `{"Zone-ID":"x"}`, command("zoneId", "NotAvailable")},
		{"A2a the name of the oneof is no member", commandOf(`{"Configuration":{}}`), command("occupiedResources[0].configuration", "Required")},
		{"version a string", command1(`"version":"1"`), command("version", "NotAvailable")},
		{"version a fraction", command1(`"version":1.5`), command("version", "NotAvailable")},
		{"version null", command1(`"version":null`), ""},

		{"B1 scheduleId absent", `{}`, command("scheduleId", "Required")},
		{"B1 scheduleId null", `{"scheduleId":null}`, command("scheduleId", "Required")},
		{"B1 scheduleId empty", `{"scheduleId":""}`, command("scheduleId", "Required")},
		{"B2 zoneId absent", `{"scheduleId":"s"}`, command("zoneId", "Required")},
		{"B2 zoneId null", `{"scheduleId":"s","zoneId":null}`, command("zoneId", "Required")},
		{"B2 zoneId empty", `{"scheduleId":"s","zoneId":""}`, command("zoneId", "Required")},
		{"B3 occupiedResources absent", `{"scheduleId":"s","zoneId":"z"}`, command("occupiedResources", "Required")},
		{"B3 occupiedResources null", `{"scheduleId":"s","zoneId":"z","occupiedResources":null}`, command("occupiedResources", "Required")},
		{"B3 occupiedResources empty", commandOf(""), command("occupiedResources", "Required")},
		{"B3 fifty", commandOf(strings.Repeat(morning+",", 49) + morning), ""},
		{"B3 fifty-one", commandOf(strings.Repeat(morning+",", 50) + morning), command("occupiedResources", "NotAvailable")},
		{"B3 fifty-one empty ones", commandOf(strings.Repeat("{},", 50) + "{}"), command("occupiedResources", "NotAvailable")},

		{"B4 no group", commandOf(item("")), command("occupiedResources[0].configuration", "Required")},
		{"B4 no group in the second", commandOf(morning + "," + item("")), command("occupiedResources[1].configuration", "Required")},
		{"B4 nothing at all, not a time error", commandOf(`{}`), command("occupiedResources[0].configuration", "Required")},
		{"B4 of the second before B5 of the first", commandOf(item(`,"reservationGroup":{}`) + ",{}"), command("occupiedResources[1].configuration", "Required")},
		{"B4 the wrapper is not read", commandOf(item(`,"configuration":{"reservationGroup":{"reservationGroupId":"g","zoneId":"z1"}}`)), command("occupiedResources[0].configuration", "Required")},
		{"B4 configuration null", commandOf(item(`,"configuration":null`)), command("occupiedResources[0].configuration", "Required")},
		{"B4 configuration a string is an unknown member", commandOf(item(`,"configuration":"reservationGroup"`)), command("occupiedResources[0].configuration", "Required")},
		{"B5 group null", commandOf(item(`,"reservationGroup":null`)), command("occupiedResources[0].reservationGroup", "Required")},
		{"B5 group empty", commandOf(item(`,"reservationGroup":{}`)), command("occupiedResources[0].reservationGroup", "Required")},
		{"B5 group of unknown members", commandOf(item(`,"reservationGroup":{"x":1}`)), command("occupiedResources[0].reservationGroup", "Required")},
		{"B5 group empty in the second", commandOf(morning + "," + item(`,"reservationGroup":{}`)), command("occupiedResources[1].reservationGroup", "Required")},
		{"B5 an empty wrapper", commandOf(item(`,"configuration":{}`)), command("occupiedResources[0].reservationGroup", "Required")},
		{"B5 a wrapper of something else", commandOf(item(`,"configuration":{"x":{}}`)), command("occupiedResources[0].reservationGroup", "Required")},
		{"B5 a wrapper of an empty group", commandOf(item(`,"configuration":{"reservationGroup":{}}`)), command("occupiedResources[0].reservationGroup", "Required")},
		{"B5 a wrapper beside the group does no harm", commandOf(item(`,"configuration":{},"reservationGroup":{"reservationGroupId":"g","zoneId":"z1"}`)), ""},
		{"B6 only a doctor", commandOf(item(`,"reservationGroup":{"doctor":{}}`)), command("occupiedResources[0].reservationGroupId", "Required")},
		{"B6 group id empty", commandOf(item(`,"reservationGroup":{"reservationGroupId":"","zoneId":"z1"}`)), command("occupiedResources[0].reservationGroupId", "Required")},
		{"B6 group id null", commandOf(item(`,"reservationGroup":{"reservationGroupId":null,"zoneId":"z1"}`)), command("occupiedResources[0].reservationGroupId", "Required")},
		{"B6 zone absent", commandOf(morning + "," + item(`,"reservationGroup":{"reservationGroupId":"g"}`)), command("occupiedResources[1].zoneId", "Required")},
		{"B7 start absent", commandOf(strings.Replace(morning, "startDateTimeUtc", "x", 1)), command("occupiedResources[0].startDateTimeUtc", "Required")},
		{"B7 start null", commandOf(`{"startDateTimeUtc":null,"reservationGroup":{"reservationGroupId":"g","zoneId":"z1"}}`), command("occupiedResources[0].startDateTimeUtc", "Required")},
		{"B7 end absent", commandOf(strings.Replace(morning, "endDateTimeUtc", "x", 1)), command("occupiedResources[0].endDateTimeUtc", "Required")},
		{"B7 of the second before B8 of the first", commandOf(stretch("x", "y") + "," + strings.Replace(morning, "endDateTimeUtc", "x", 1)), command("occupiedResources[1].endDateTimeUtc", "Required")},
		{"B8 start empty", commandOf(stretch("", "2026-03-02T01:30:00Z")), command("occupiedResources[0].startDateTimeUtc", "NotAvailable")},
		{"B8 start without offset", commandOf(stretch("2026-03-02T01:00:00", "2026-03-02T01:30:00Z")), command("occupiedResources[0].startDateTimeUtc", "NotAvailable")},
		{"B8 start with a one-digit hour", commandOf(stretch("2026-03-02T1:00:00Z", "2026-03-02T01:30:00Z")), command("occupiedResources[0].startDateTimeUtc", "NotAvailable")},
		{"B8 start with a comma", commandOf(stretch("2026-03-02T01:00:00,5Z", "2026-03-02T01:30:00Z")), command("occupiedResources[0].startDateTimeUtc", "NotAvailable")},
		{"B8 start with an offset beyond a day", commandOf(stretch("2026-03-02T01:00:00+24:00", "2026-03-02T01:30:00Z")), command("occupiedResources[0].startDateTimeUtc", "NotAvailable")},
		{"B8 start at 24 o'clock", commandOf(stretch("2026-03-01T24:00:00Z", "2026-03-02T01:30:00Z")), command("occupiedResources[0].startDateTimeUtc", "NotAvailable")},
		{"B8 start without a time", commandOf(stretch("2026-03-02", "2026-03-02T01:30:00Z")), command("occupiedResources[0].startDateTimeUtc", "NotAvailable")},
		{"B8 small letters", commandOf(stretch("2026-03-02t01:00:00z", "2026-03-02t01:30:00z")), ""},
		{"B8 start on 30 February", commandOf(stretch("2026-02-30T01:00:00Z", "2026-03-02T01:30:00Z")), command("occupiedResources[0].startDateTimeUtc", "NotAvailable")},
		{"B8 start before the year 1 in UTC", commandOf(stretch("0001-01-01T08:59:59+09:00", "2026-03-02T01:30:00Z")), command("occupiedResources[0].startDateTimeUtc", "NotAvailable")},
		{"B8 start in the year 0", commandOf(stretch("0000-12-31T23:59:59-00:00", "2026-03-02T01:30:00Z")), command("occupiedResources[0].startDateTimeUtc", "NotAvailable")},
		{"B8 end after 9999 in UTC", commandOf(stretch("9999-12-31T10:00:00Z", "9999-12-31T23:59:59-00:01")), command("occupiedResources[0].endDateTimeUtc", "NotAvailable")},
		{"B8 end after 9999 when it is rounded up", commandOf(stretch("9999-12-31T10:00:00Z", "9999-12-31T23:59:59.5Z")), command("occupiedResources[0].endDateTimeUtc", "NotAvailable")},
		{"B8 the last second of 9999", commandOf(stretch("9999-12-31T10:00:00Z", "9999-12-31T23:59:59Z")), ""},
		{"B8 the first second of the year 1", commandOf(stretch("0001-01-01T00:00:00Z", "0001-01-01T10:00:00+09:00")), ""},
		{"B8 end in words", commandOf(morning + "," + stretch("2026-03-02T01:00:00Z", "noon")), command("occupiedResources[1].endDateTimeUtc", "NotAvailable")},
		{"B8 end with NUL", commandOf(strings.Replace(morning, "01:30:00Z", `01:30:00Z\u0000`, 1)), command("occupiedResources[0].endDateTimeUtc", "NotAvailable")},
		{"B8 an offset", commandOf(stretch("2026-03-02T10:00:00+09:00", "2026-03-02T10:30:00.5+09:00")), ""},
		{"B9 end at start", commandOf(stretch("2026-03-02T01:00:00Z", "2026-03-02T01:00:00Z")), command("occupiedResources[0].endDateTimeUtc", "InvalidTimeRange")},
		{"B9 end at start by another clock", commandOf(stretch("2026-03-02T01:00:00Z", "2026-03-02T10:00:00+09:00")), command("occupiedResources[0].endDateTimeUtc", "InvalidTimeRange")},
		{"B9 end before start", commandOf(morning + "," + stretch("2026-03-02T01:00:00Z", "2026-03-02T00:30:00Z")), command("occupiedResources[1].endDateTimeUtc", "InvalidTimeRange")},
		{"B9 a whole day", commandOf(stretch("2026-03-02T01:00:00Z", "2026-03-03T01:00:00Z")), command("occupiedResources[0].endDateTimeUtc", "InvalidTimeRange")},
		{"B9 centuries", commandOf(stretch("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z")), command("occupiedResources[0].endDateTimeUtc", "InvalidTimeRange")},
		{"B9 a second less than a day", commandOf(stretch("2026-03-02T01:00:00Z", "2026-03-03T00:59:59Z")), ""},
		{"B10 doctor without id", commandOf(doctor(`{"name":"Kim"}`)), command("occupiedResources[0].doctor.id", "Required")},
		{"B10 doctor without name", commandOf(morning + "," + doctor(`{"id":"d"}`)), command("occupiedResources[1].doctor.name", "Required")},
		{"B10 doctor with an empty name", commandOf(doctor(`{"id":"d","name":""}`)), command("occupiedResources[0].doctor.name", "Required")},
		{"B10 doctor empty", commandOf(doctor(`{}`)), command("occupiedResources[0].doctor.id", "Required")},
		{"B10 doctor null is no doctor", commandOf(doctor(`null`)), ""},
		{"B10a doctor's id no object id", commandOf(morning + "," + doctor(`{"id":"not-an-object-id","name":"n"}`)), command("occupiedResources[1].doctor.id", "NotAvailable")},
		{"B10a with a blank", commandOf(doctor(`{"id":" ` + kim + `","name":"n"}`)), command("occupiedResources[0].doctor.id", "NotAvailable")},
		{"B10a a digit short", commandOf(doctor(`{"id":"` + kim[1:] + `","name":"n"}`)), command("occupiedResources[0].doctor.id", "NotAvailable")},
		{"B10a a digit that is none", commandOf(doctor(`{"id":"g` + kim[1:] + `","name":"n"}`)), command("occupiedResources[0].doctor.id", "NotAvailable")},
		{"B10a digits of another script", commandOf(doctor(`{"id":"６５c00000000000000000000","name":"n"}`)), command("occupiedResources[0].doctor.id", "NotAvailable")},
		{"B10a capital letters", commandOf(doctor(`{"id":"` + strings.ToUpper(kim) + `","name":"n"}`)), ""},
		{"B11 one day in Seoul, two in UTC", commandOf(stretch("2026-03-01T23:30:00Z", "2026-03-02T00:00:00Z") + "," + stretch("2026-03-02T01:00:00Z", "2026-03-02T01:30:00Z")), ""},
		{"B11 two days in Seoul, one in UTC", commandOf(stretch("2026-03-02T14:30:00Z", "2026-03-02T14:45:00Z") + "," + stretch("2026-03-02T15:30:00Z", "2026-03-02T16:00:00Z")), command("occupiedResources[1].startDateTimeUtc", "NotAvailable")},
		{"B11 the third on another day", commandOf(morning + "," + morning + "," + stretch("2026-03-03T01:00:00Z", "2026-03-03T01:30:00Z")), command("occupiedResources[2].startDateTimeUtc", "NotAvailable")},
		{"B11 a stretch over midnight", commandOf(stretch("2026-03-02T14:30:00Z", "2026-03-02T15:30:00Z")), ""},
		{"B12 assignee without id", command1(`"reservationAssignee":{"name":"n"}`), command("reservationAssignee.id", "Required")},
		{"B12 assignee without name", command1(`"reservationAssignee":{"id":"a"}`), command("reservationAssignee.name", "Required")},
		{"B12 counselor without id", command1(`"counselor":{}`), command("counselor.id", "Required")},
		{"B12 counselor without name", command1(`"counselor":{"id":"c","name":null}`), command("counselor.name", "Required")},
		{"B12 assignee before counselor", command1(`"counselor":{},"reservationAssignee":{"id":"a"}`), command("reservationAssignee.name", "Required")},
		{"B12a counselor's id no object id", command1(`"counselor":{"id":"c-1","name":"n"}`), command("counselor.id", "NotAvailable")},
		{"B12a an assignee's id is any text", command1(`"reservationAssignee":{"id":"a-1 ","name":"n"}`), ""},
		{"B12a after B12 of the assignee", command1(`"counselor":{"id":"c-1","name":"n"},"reservationAssignee":{}`), command("reservationAssignee.id", "Required")},
		{"B12 null is no person", command1(`"counselor":null,"reservationAssignee":null`), ""},
		{"B13 no type", procedures(`{}`), command("requestedProcedures[0].type", "Required")},
		{"B13 type null", procedures(option("") + `,{"type":null}`), command("requestedProcedures[1].type", "Required")},
		{"B13 type unspecified", procedures(`{"type":"RESERVATION_REQUESTED_PROCEDURE_TYPE_UNSPECIFIED"}`), command("requestedProcedures[0].type", "Required")},
		{"B14 no option", procedures(`{"type":"OPTION"}`), command("requestedProcedures[0].optionConfiguration", "Required")},
		{"B14 option null", procedures(`{"type":"OPTION","optionConfiguration":null}`), command("requestedProcedures[0].optionConfiguration", "Required")},
		{"B14 no ticket", procedures(`{"type":"TICKET","optionConfiguration":{}}`), command("requestedProcedures[0].ticketConfiguration", "Required")},
		{"B14 a ticket beside the option", procedures(`{"type":"OPTION","optionConfiguration":{},"ticketConfiguration":{}}`), command("requestedProcedures[0].ticketConfiguration", "NotAvailable")},
		{"B14 an option beside the ticket", procedures(option("") + `,{"type":"TICKET","optionConfiguration":{},"ticketConfiguration":{}}`), command("requestedProcedures[1].optionConfiguration", "NotAvailable")},
		{"B14 the other one null", procedures(`{"type":"TICKET","optionConfiguration":null,"ticketConfiguration":{"ticketId":"1","ticketTitle":"2","optionTitle":"3"}}`), ""},
		{"B15 no optionId", procedures(`{"type":"OPTION","optionConfiguration":{}}`), command("requestedProcedures[0].optionConfiguration.optionId", "Required")},
		{"B15 no optionTitle", procedures(`{"type":"OPTION","optionConfiguration":{"optionId":"o"}}`), command("requestedProcedures[0].optionConfiguration.optionTitle", "Required")},
		{"B15 no price", procedures(`{"type":"OPTION","optionConfiguration":{"optionId":"o","optionTitle":"t"}}`), command("requestedProcedures[0].optionConfiguration.price", "Required")},
		{"B15 no ticketId", procedures(option("") + `,{"type":"TICKET","ticketConfiguration":{}}`), command("requestedProcedures[1].ticketConfiguration.ticketId", "Required")},
		{"B15 no ticketTitle", procedures(`{"type":"TICKET","ticketConfiguration":{"ticketId":"1"}}`), command("requestedProcedures[0].ticketConfiguration.ticketTitle", "Required")},
		{"B15 no optionTitle of a ticket", procedures(`{"type":"TICKET","ticketConfiguration":{"ticketId":"1","ticketTitle":"2"}}`), command("requestedProcedures[0].ticketConfiguration.optionTitle", "Required")},
		{"B15 complete", procedures(option("")), ""},
		{"B16 procedure type", procedures(`{"type":"PACKAGE"}`), command("requestedProcedures[0].type", "NotAvailable")},
		{"B16 procedure type empty", procedures(`{"type":""}`), command("requestedProcedures[0].type", "NotAvailable")},
		{"B16 channel", command1(`"connectedChannel":"GOOGLE"`), command("connectedChannel", "NotAvailable")},
		{"B16 channel spelled well", command1(`"connectedChannel":"Channel_UNSPECIFIED"`), command("connectedChannel", "NotAvailable")},
		{"B16 channel spelled as in the contract", command1(`"connectedChannel":"Channel_UNSPEICIFED"`), ""},
		{"B16 category", command1(`"funnel":{"funnel":{"category":"funnel"}}`), command("funnel.funnel.category", "NotAvailable")},
		{"B16 color", command1(`"funnel":{"funnelCategory":{"color":"PINK"}}`), command("funnel.funnelCategory.color", "NotAvailable")},
		{"B16 price reason", procedures(`{"type":"OPTION","optionConfiguration":{"optionId":"o","optionTitle":"t","price":{"reason":{"type":"X"}}}}`), command("requestedProcedures[0].optionConfiguration.price.reason.type", "NotAvailable")},
		{"B16 status", medical(`"status":"X"`), command(medicalPath+".status", "NotAvailable")},
		{"B16 unit", medical(`"configuration":{"unit":{"type":"LITER"}}`), command(medicalPath+".configuration.unit.type", "NotAvailable")},
		{"B16 reimbursement", medical(`"configuration":{"healthcareReimbursement":"X"}`), command(medicalPath+".configuration.healthcareReimbursement", "NotAvailable")},
		{"B16 taxation", medical(`"configuration":{"taxation":"X"}`), command(medicalPath+".configuration.taxation", "NotAvailable")},
		{"B16 the first in the order of the schema", command1(`"connectedChannel":"X","funnel":{"funnelCategory":{"color":"X"},"funnel":{"color":"X","category":"X"}}`), command("funnel.funnel.category", "NotAvailable")},
		{"B16 a doctor's name as long as it may be", commandOf(doctor(`{"id":"65c000000000000000000001","name":"` + strings.Repeat("김", 255) + `"}`)), ""},
		{"B16 a doctor's name that is longer", commandOf(doctor(`{"id":"65c000000000000000000001","name":"` + strings.Repeat("김", 256) + `"}`)), command("occupiedResources[0].doctor.name", "NotAvailable")},
		{"B16 an id", command1(`"counselor":{"id":"` + strings.Repeat("c", 256) + `","name":"n"}`), command("counselor.id", "NotAvailable")},
		{"B16 a memo as long as it may be", command1(`"reservationMemo":"` + strings.Repeat("메", 10_000) + `"`), ""},
		{"B16 a memo that is longer", command1(`"reservationMemo":"` + strings.Repeat("m", 10_001) + `"`), command("reservationMemo", "NotAvailable")},
		{"B16 a funnel's name", command1(`"funnel":{"funnel":{"name":"` + strings.Repeat("f", 256) + `"}}`), command("funnel.funnel.name", "NotAvailable")},
		{"B16 a funnel's detail", command1(`"funnel":{"funnelDetail":"` + strings.Repeat("f", 10_000) + `"}`), ""},
		{"B16 a title", procedures(`{"type":"TICKET","ticketConfiguration":{"ticketId":"t","ticketTitle":"` + strings.Repeat("t", 256) + `","optionTitle":"o"}}`), command("requestedProcedures[0].ticketConfiguration.ticketTitle", "NotAvailable")},
		{"B16 a machine's name", medical(`"configuration":{"machines":[{"name":"m"},{"name":"` + strings.Repeat("m", 256) + `"}]}`), command(medicalPath+".configuration.machines[1].name", "NotAvailable")},
		{"B16 a description", medical(`"description":"` + strings.Repeat("d", 10_001) + `"`), command(medicalPath+".description", "NotAvailable")},
		{"B16 a translation", medical(`"translsMap":{"x":{"translation":{"ko":"` + strings.Repeat("d", 10_001) + `"}}}`), command(medicalPath+".translsMap", "NotAvailable")},
		{"B16 a translation's name", medical(`"translsMap":{"x":{"translation":{"` + strings.Repeat("d", 256) + `":"a"}}}`), command(medicalPath+".translsMap", "NotAvailable")},
		{"B13 too many procedures", procedures(strings.Repeat(`{"type":"OPTION"},`, 50) + `{}`), command("requestedProcedures", "NotAvailable")},
		{"B17 procedures", procedures(strings.TrimSuffix(strings.Repeat(`{"type":"TICKET","ticketConfiguration":{"ticketId":"t","ticketTitle":"t","optionTitle":"o","medicalService":{"description":"`+strings.Repeat("d", 9_000)+`"}}},`, 8), ",")), command("requestedProcedures", "NotAvailable")},
		{"B16 after B15", command1(`"connectedChannel":"X","requestedProcedures":[{"type":"OPTION","optionConfiguration":{}}]`), command("requestedProcedures[0].optionConfiguration.optionId", "Required")},
		{"NUL in the memo", command1(`"reservationMemo":"a\u0000"`), command("reservationMemo", "NotAvailable")},
		{"NUL in a doctor's name", commandOf(doctor(`{"id":"` + kim + `","name":"\u0000"}`)), command("occupiedResources[0].doctor.name", "NotAvailable")},
		{"NUL in a counselor's id", command1(`"counselor":{"id":"\u0000","name":"n"}`), command("counselor.id", "NotAvailable")},
		{"NUL in a funnel", command1(`"funnel":{"funnelDetail":"\u0000"}`), command("funnel.funnelDetail", "NotAvailable")},
		{"NUL in a machine's name", medical(`"configuration":{"machines":[{},{"name":"\u0000"}]}`), command(medicalPath+".configuration.machines[1].name", "NotAvailable")},
		{"NUL in a translation", medical(`"translsMap":{"ko":{"translation":{"title":"\u0000"}}}`), command(medicalPath+".translsMap", "NotAvailable")},
		{"NUL in a translation's name", medical(`"translsMap":{"ko":{"translation":{"\u0000":"x"}}}`), command(medicalPath+".translsMap", "NotAvailable")},
		{"line breaks in the memo", command1(`"reservationMemo":"a\r\n\tb"`), ""},
		{"unknown members", command1(`"new":[{}]`, `"funnel":{"new":1}`), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := readChange(c.body, seoul)
			got := ""
			if err != nil {
				var r *refusal
				if !errors.As(err, &r) {
					t.Fatal(err)
				}
				text, err := edge.CompactJSON(refuse(err).Body)
				if err != nil {
					t.Fatal(err)
				}
				got = string(text)
			}
			if got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// If two rows apply, the earlier one answers, even if the later one applies to an earlier element.
func TestRowsAreInOrder(t *testing.T) {
	at := `"startDateTimeUtc":"2026-03-02T01:00:00Z","endDateTimeUtc":"2026-03-02T01:30:00Z"`
	group := `"reservationGroup":{"reservationGroupId":"g","zoneId":"z1"}`
	rows := []struct{ row, item, procedure, member, key, reason string }{
		{"B4", `{` + at + `}`, "", "", ".configuration", "Required"},
		{"B5", `{"reservationGroup":{}}`, "", "", ".reservationGroup", "Required"},
		{"B6", `{"reservationGroup":{"zoneId":"z1","doctor":{}}}`, "", "", ".reservationGroupId", "Required"},
		{"B7", `{` + group + `}`, "", "", ".startDateTimeUtc", "Required"},
		{"B8", `{"startDateTimeUtc":"x","endDateTimeUtc":"",` + group + `}`, "", "", ".startDateTimeUtc", "NotAvailable"},
		{"B9", stretch("2026-03-03T01:00:00Z", "2026-03-03T01:00:00Z"), "", "", ".endDateTimeUtc", "InvalidTimeRange"},
		{"B10", `{"startDateTimeUtc":"2026-03-03T01:00:00Z","endDateTimeUtc":"2026-03-03T01:30:00Z","reservationGroup":{"reservationGroupId":"g","zoneId":"z1","doctor":{}}}`, "", "", ".doctor.id", "Required"},
		{"B10a", `{"startDateTimeUtc":"2026-03-03T01:00:00Z","endDateTimeUtc":"2026-03-03T01:30:00Z","reservationGroup":{"reservationGroupId":"g","zoneId":"z1","doctor":{"id":"d","name":"n"}}}`, "", "", ".doctor.id", "NotAvailable"},
		{"B11", stretch("2026-03-03T01:00:00Z", "2026-03-03T01:30:00Z"), "", "", ".startDateTimeUtc", "NotAvailable"},
		{"B12", "", "", `"reservationAssignee":{"id":"\u0000"}`, "reservationAssignee.name", "Required"},
		{"B12a", "", "", `"counselor":{"id":"\u0000","name":"\u0000"}`, "counselor.id", "NotAvailable"},
		{"B13", "", `{"optionConfiguration":{}}`, "", ".type", "Required"},
		{"B14", "", `{"type":"OPTION","ticketConfiguration":{}}`, "", ".optionConfiguration", "Required"},
		{"B15", "", `{"type":"OPTION","optionConfiguration":{"price":{"reason":{"type":"X"}}}}`, "", ".optionConfiguration.optionId", "Required"},
		{"B16", "", "", `"connectedChannel":"X"`, "connectedChannel", "NotAvailable"},
	}
	for i, first := range rows {
		for _, later := range rows[i+1:] {
			items, procedures := []string{morning}, []string{}
			members := []string{}
			key := first.key
			for _, r := range []struct{ item, procedure, member string }{
				{later.item, later.procedure, later.member}, {first.item, first.procedure, first.member},
			} {
				switch {
				case r.item != "":
					items = append(items, r.item)
				case r.procedure != "":
					procedures = append(procedures, r.procedure)
				default:
					members = append(members, r.member)
				}
			}
			switch {
			case first.item != "":
				key = nth("occupiedResources", len(items)-1) + key
			case first.procedure != "":
				key = nth("requestedProcedures", len(procedures)-1) + key
			}
			members = append(members, `"requestedProcedures":[`+strings.Join(procedures, ",")+`]`)
			_, err := readChange(commandOf(strings.Join(items, ","), members...), time.UTC)
			var r *refusal
			if !errors.As(err, &r) || r.key != key || r.reason != first.reason {
				t.Errorf("%s and %s: got %v, want %s %s", first.row, later.row, err, key, first.reason)
			}
		}
	}
}

// How a command that passes is translated for package booking.
func TestChangeIsTranslated(t *testing.T) {
	plain := booking.Change{
		MerchantID: "clinic-1", ScheduleID: "s", ZoneID: "z",
		Items: []booking.Item{{GroupID: "g", ZoneID: "z1", StartSec: 1772413200, EndSec: 1772415000}},
	}
	with := func(change func(*booking.Change)) booking.Change {
		c := plain
		c.Items = slices.Clone(plain.Items)
		change(&c)
		return c
	}
	long := strings.Repeat("x", 257)
	for _, c := range []struct {
		name, body string
		want       booking.Change
	}{
		{"absent keeps", command1(), plain},
		{
			"null clears", command1(`"reservationAssignee":null,"consultationRequired":null,"sedationRequired":null,"counselor":null,"funnel":null,"reservationMemo":null,"requestedProcedures":null,"connectedChannel":null`),
			with(func(c *booking.Change) {
				c.Assignee, c.Counselor = booking.Clear[booking.Person](), booking.Clear[booking.Person]()
				c.ConsultationRequired, c.SedationRequired = booking.Clear[bool](), booking.Clear[bool]()
				c.Memo, c.ConnectedChannel = booking.Clear[string](), booking.Clear[string]()
				c.Funnel, c.RequestedProcedures = booking.Clear[json.RawMessage](), booking.Clear[json.RawMessage]()
			}),
		},
		{
			"a value sets", command1(`"reservationAssignee":{"id":"a","name":"A"},"consultationRequired":true,"sedationRequired":true,"counselor":{"id":"` + strings.ToUpper(kim) + `","name":"C"},"funnel":{"funnelDetail":"<d>"},"reservationMemo":"m","requestedProcedures":[{"ticketConfiguration":{"optionTitle":"3","ticketTitle":"2","ticketId":"1"},"type":"TICKET"}],"connectedChannel":"KOS_CONNECT"`),
			with(func(c *booking.Change) {
				c.Assignee, c.Counselor = booking.Set(booking.Person{ID: "a", Name: "A"}), booking.Set(booking.Person{ID: kim, Name: "C"})
				c.ConsultationRequired, c.SedationRequired = booking.Set(true), booking.Set(true)
				c.Memo, c.ConnectedChannel = booking.Set("m"), booking.Set("KOS_CONNECT")
				c.Funnel = booking.Set(json.RawMessage(`{"funnelDetail":"<d>"}`))
				c.RequestedProcedures = booking.Set(json.RawMessage(`[{"type":"TICKET","ticketConfiguration":{"ticketId":"1","ticketTitle":"2","optionTitle":"3"}}]`))
			}),
		},
		{
			"an empty value sets too", command1(`"consultationRequired":false,"sedationRequired":false,"funnel":{},"reservationMemo":"","requestedProcedures":[]`),
			with(func(c *booking.Change) {
				c.ConsultationRequired, c.SedationRequired = booking.Set(false), booking.Set(false)
				c.Memo = booking.Set("")
				c.Funnel, c.RequestedProcedures = booking.Set(json.RawMessage(`{}`)), booking.Set(json.RawMessage(`[]`))
			}),
		},
		{"a channel not said", command1(`"connectedChannel":"Channel_UNSPEICIFED"`), with(func(c *booking.Change) { c.ConnectedChannel = booking.Clear[string]() })},
		{
			"a document is kept in one form", command1(`"funnel":{"new":1,"funnelCategory":{"order":1.0,"id":null,"closed":false},"funnel":{"name":"","default":true}}`),
			with(func(c *booking.Change) {
				c.Funnel = booking.Set(json.RawMessage(`{"funnel":{"name":"","default":true},"funnelCategory":{"order":1,"closed":false}}`))
			}),
		},
		{
			"start rounded down, end up", commandOf(stretch("2026-03-02T10:00:00.999+09:00", "2026-03-02T01:29:59.001Z")),
			plain,
		},
		{
			"before 1970, to the second", commandOf(stretch("1969-12-31T23:59:58.5Z", "1969-12-31T23:59:59.5Z")),
			with(func(c *booking.Change) { c.Items[0].StartSec, c.Items[0].EndSec = -2, 0 }),
		},
		{
			"two stretches, one with a doctor", commandOf(morning + `,{"startDateTimeUtc":"2026-03-02T01:00:00Z","endDateTimeUtc":"2026-03-02T01:30:00Z","reservationGroup":{"reservationGroupId":"h","zoneId":"z2","doctor":{"id":"` + kim + `","name":"D"}}}`),
			with(func(c *booking.Change) {
				c.Items = append(c.Items, booking.Item{GroupID: "h", ZoneID: "z2", Doctor: &booking.Person{ID: kim, Name: "D"}, StartSec: 1772413200, EndSec: 1772415000})
			}),
		},
		{"a version", command1(`"version":3`), with(func(c *booking.Change) { c.Seen = new(int64(3)) })},
		{
			"ids in small letters", `{"scheduleId":"65D00000000000000000000F","zoneId":"65A00000000000000000000F","occupiedResources":[` +
				strings.NewReplacer(`"g"`, `"65B00000000000000000000F"`, `"z1"`, `"Z1"`).Replace(morning) + `]}`,
			with(func(c *booking.Change) {
				c.ScheduleID, c.ZoneID, c.Items[0].GroupID, c.Items[0].ZoneID = "65d00000000000000000000f", "65a00000000000000000000f", "65b00000000000000000000f", "Z1"
			}),
		},
		{"ids that name nothing", `{"scheduleId":"\u0000","zoneId":"` + long + `","occupiedResources":[{"startDateTimeUtc":"2026-03-02T01:00:00Z","endDateTimeUtc":"2026-03-02T01:30:00Z","reservationGroup":{"reservationGroupId":"a\u0000","zoneId":"` + long + `"}}]}`, with(func(c *booking.Change) {
			c.ScheduleID, c.ZoneID, c.Items[0].GroupID, c.Items[0].ZoneID = "", "", "", ""
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := readChange(c.body, time.UTC)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("want (-), got (+):\n%s", diff)
			}
		})
	}
}

// The contract has a typo, and the contract counts.
func TestChannelIsSpelledAsInTheContract(t *testing.T) {
	if channelUnspecified != "Channel_"+"UNSPEICIFED" {
		t.Errorf("the contract says otherwise than %q", channelUnspecified)
	}
}

// schema is a JSON schema with its properties in order.
type schema struct {
	Type       string
	Format     string
	Enum       []string
	Properties properties
	Items      *schema
	Additional *schema `json:"additionalProperties"`
}

type properties []named1

type named1 struct {
	name string
	*schema
}

func (p *properties) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(bytes.NewReader(text))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		s := &schema{}
		if err := d.Decode(s); err != nil {
			return err
		}
		*p = append(*p, named1{name.(string), s})
	}
	return nil
}

func readSchema(t testing.TB) *schema {
	t.Helper()
	text, err := os.ReadFile("../testdata/update-reservation-v2.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var s schema
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return &s
}

// The wire structs match the published schema: every member, in order, with its type and words.
func TestWireStructsAreTheSchema(t *testing.T) {
	compareSchema(t, "command", readSchema(t), reflect.TypeFor[updateReservation]())
}

func compareSchema(t *testing.T, path string, s *schema, typ reflect.Type) {
	t.Helper()
	kinds := map[string][]reflect.Kind{
		"string": {reflect.String}, "boolean": {reflect.Bool}, "number": {reflect.Float64}, "integer": {reflect.Int32},
		"array": {reflect.Slice}, "object": {reflect.Struct, reflect.Map},
	}
	if !slices.Contains(kinds[s.Type], typ.Kind()) {
		t.Errorf("%s is of type %s in the schema and %s here", path, s.Type, typ.Kind())
		return
	}
	var words []string
	if e, ok := reflect.Zero(typ).Interface().(enum); ok {
		words = e.words()
	}
	if !slices.Equal(words, s.Enum) {
		t.Errorf("%s has the words\n%q in the schema and\n%q here", path, s.Enum, words)
	}
	switch typ.Kind() {
	case reflect.Slice:
		compareSchema(t, path+"[]", s.Items, typ.Elem())
	case reflect.Map:
		compareSchema(t, path+"{}", s.Additional, typ.Elem())
	case reflect.Struct:
		var want, got []string
		for _, p := range s.Properties {
			want = append(want, p.name)
		}
		for _, f := range fields(reflect.New(typ).Elem(), "") {
			ours := f.name == "version" && typ == reflect.TypeFor[updateReservation]()
			if !ours && (f.name != "configuration" || typ != reflect.TypeFor[occupiedResource]()) {
				got = append(got, f.name)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s has the members\n%q in the schema and\n%q here", path, want, got)
			return
		}
		members := slices.DeleteFunc(reflect.VisibleFields(typ), func(f reflect.StructField) bool { return f.Anonymous })
		for i, p := range s.Properties {
			value, _ := members[i].Type.FieldByName("Value") // maybe[T]
			compareSchema(t, path+"."+p.name, p.schema, value.Type.Elem())
			if (p.Format == "object-id") != (value.Type.Elem() == reflect.TypeFor[id]()) {
				t.Errorf("%s.%s has the format %q in the schema and is of type %s here", path, p.name, p.Format, value.Type.Elem())
			}
		}
	}
}

// full returns a value of the schema with every member set.
func (s *schema) full() string {
	switch {
	case s.Enum != nil:
		return `"` + s.Enum[1] + `"`
	case s.Items != nil:
		return "[" + s.Items.full() + "," + s.Items.full() + "]"
	case s.Additional != nil:
		return `{"a":` + s.Additional.full() + `,"b":` + s.Additional.full() + `}`
	case s.Type == "object":
		var members []string
		for _, p := range s.Properties {
			members = append(members, `"`+p.name+`":`+p.full())
		}
		return "{" + strings.Join(members, ",") + "}"
	}
	return map[string]string{"string": `"한 <글>"`, "boolean": "true", "integer": "-2147483648", "number": "1.5"}[s.Type]
}

// Everything that the schema has in the funnel and the procedures is stored.
func TestDocumentsAreKeptWhole(t *testing.T) {
	s := readSchema(t)
	for _, p := range s.Properties {
		if p.name != "funnel" && p.name != "requestedProcedures" {
			continue
		}
		want := p.full()
		req, err := decode[updateReservation]([]byte(`{"` + p.name + `":` + want + `}`))
		if err != nil {
			t.Fatal(err)
		}
		if err := unusable(reflect.ValueOf(&req).Elem(), "", ""); err != nil {
			t.Error(err)
		}
		edit, err := editDocument("funnel", req.Funnel)
		if p.name == "requestedProcedures" {
			edit, err = editDocument("requestedProcedures", req.RequestedProcedures)
		}
		if err != nil {
			t.Fatal(err)
		}
		if edit.To == nil || string(*edit.To) != want {
			t.Errorf("%s: got\n%v, want\n%s", p.name, edit.To, want)
		}
	}
}

func TestPresence(t *testing.T) {
	type wire struct {
		Text maybe[string]   `json:"text,omitzero"`
		List maybe[[]string] `json:"list,omitzero"`
	}
	for _, c := range []struct {
		body         string
		given, value bool
		written      string
	}{
		{`{}`, false, false, `{}`},
		{`{"text":null}`, true, false, `{}`},
		{`{"text":""}`, true, true, `{"text":""}`},
		{`{"text":"\u003c"}`, true, true, `{"text":"<"}`},
		{`{"list":[]}`, false, false, `{"list":[]}`},
	} {
		got, err := decode[wire]([]byte(c.body))
		if err != nil {
			t.Fatal(err)
		}
		if got.Text.Given != c.given || (got.Text.Value != nil) != c.value {
			t.Errorf("%s is given: %v, has a value: %v", c.body, got.Text.Given, got.Text.Value != nil)
		}
		written, err := edge.CompactJSON(got)
		if err != nil || string(written) != c.written {
			t.Errorf("%s is written %s (%v), want %s", c.body, written, err, c.written)
		}
	}
}

// Nothing makes the decoder panic. A refusal is one key and one of the channel's reasons. What passes is
// written in a form that reads back as the same.
func FuzzUpdateReservation(f *testing.F) {
	s := readSchema(f)
	for _, body := range []string{
		s.full(), command1(), commandOf(morning + "," + morning),
		command1(`"funnel":{"funnel":{"order":1e1}},"reservationMemo":null,"connectedChannel":"HOMEPAGE"`),
		command1(`"requestedProcedures":[{"type":"TICKET","ticketConfiguration":{"ticketId":"1","ticketTitle":"2","optionTitle":"3","medicalService":{"translsMap":{"a":{"translation":{"b":"c"}}},"durationTime":-0.0}}}]`),
		commandOf(`{"configuration":{"reservationGroup":[]}}`), `{"occupiedResources":[null]}`, "{}", "[", "",
	} {
		f.Add([]byte(body))
	}
	loc := location(f, "America/New_York")
	f.Fuzz(func(t *testing.T, body []byte) {
		change, err := readChange(string(body), loc)
		if err != nil {
			var r *refusal
			if !errors.As(err, &r) || r.class != "InvalidCommandException" || r.key == "" ||
				!slices.Contains([]string{required, notAvailable, invalidTimeRange}, r.reason) {
				t.Fatalf("got %v, want one key and one reason", err)
			}
			return
		}
		for _, it := range change.Items {
			if it.EndSec <= it.StartSec || it.EndSec-it.StartSec > 24*60*60 {
				t.Errorf("from %d to %d", it.StartSec, it.EndSec)
			}
		}
		if len(change.Items) > maxResources {
			t.Errorf("%d items", len(change.Items))
		}
		var more []string
		for name, e := range map[string]booking.Edit[json.RawMessage]{"funnel": change.Funnel, "requestedProcedures": change.RequestedProcedures} {
			if e.To != nil {
				more = append(more, fmt.Sprintf("%q:%s", name, *e.To))
			}
		}
		again, err := readChange(command1(more...), loc)
		if err != nil {
			t.Fatalf("what was written is not read: %v", err)
		}
		for _, pair := range [][2]booking.Edit[json.RawMessage]{{change.Funnel, again.Funnel}, {change.RequestedProcedures, again.RequestedProcedures}} {
			if pair[0].To != nil && !bytes.Equal(*pair[0].To, *pair[1].To) {
				t.Errorf("%s is written again as %s", *pair[0].To, *pair[1].To)
			}
		}
	})
}

// FuzzExchangeToken: the decoder of the key.
func FuzzExchangeToken(f *testing.F) {
	for _, body := range []string{`{"key":"2f1c0a52-7c3e-4a57-9f1e-0d6a3f0e9b11"}`, `{"key":null}`, `{"key":""}`, `{"key":1}`, `{}`, `x`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		req, err := decode[exchangeKey](body)
		if err == nil && !req.Key.Given && req.Key.Value != nil {
			t.Error("a value that was not given")
		}
	})
}
