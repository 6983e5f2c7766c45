package api_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"holdfast/booking"
)

const (
	groupsPath    = "/schedule/open/v1/queries/get-reservation-groups"
	byGroupPath   = "/schedule/open/v1/queries/get-reservation-slots-by-group"
	byGroupsPath  = "/schedule/open/v2/queries/get-reservation-slots-by-groups"
	byVisitV1Path = "/schedule/open/v1/queries/get-reservation-slots-by-schedule-id"
	byVisitV2Path = "/schedule/open/v2/queries/get-reservation-slots-by-schedule-id"
	detailPath    = "/schedule/open/v1/queries/get-schedule-detail"
	dayPath       = "/schedule/open/v1/queries/get-schedules"
	visitorsPath  = "/visitor/open/v1/queries/search-visitors"
)

// accessLine is the log line about who has read whose data.
type accessLine struct {
	Message   string   `json:"msg"`
	RequestID string   `json:"request_id"`
	Caller    string   `json:"caller"`
	Count     int      `json:"count"`
	Schedules []string `json:"schedules"`
	Visitors  []string `json:"visitors"`
}

// Reading patients' data leaves one line in the log: who asked, in which request, about which visits and visitors, and how
// many. The data itself is not in it. A refusal leaves no line and repeats nothing.
func TestAccessToPatientDataIsLogged(t *testing.T) {
	each(t, func(w *world) {
		tell := func(wantStatus int, path, body, who string) answer {
			w.t.Helper()
			a, err := w.send("POST", path, body, "Authorization", who)
			w.must(err)
			if a.status != wantStatus {
				w.t.Errorf("%s %s: got %d %s", path, body, a.status, a.body)
			}
			return a
		}
		first := w.booking(bookingID.FindStringSubmatch(tell(200, createPath, canaryCreate(1, at(9, 0), ""), "google").body)[1])
		second := w.booking(bookingID.FindStringSubmatch(tell(200, createPath, canaryCreate(2, at(9, 0), ""), "google").body)[1])
		tell(200, updatePath, canaryMove(first.ScheduleID, bed, at(10, 0), ""), clinic1)
		visitors := map[string]string{}
		for _, b := range w.stored(clinic1) {
			var detail struct {
				Data struct {
					Visitor struct{ ID string }
				}
			}
			w.must(json.Unmarshal([]byte(tell(200, detailPath, fmt.Sprintf(`{"scheduleId":%q}`, b.ScheduleID), clinic1).body), &detail))
			visitors[b.ScheduleID] = detail.Data.Visitor.ID
		}

		for _, c := range []struct {
			path, body, who string
			status          int
			schedules       []string
			visitors        []string // nil: there is no line
		}{
			{detailPath, fmt.Sprintf(`{"scheduleId":%q}`, first.ScheduleID), clinic1, 200, []string{first.ScheduleID}, []string{visitors[first.ScheduleID]}},
			{dayPath, `{"date":"2026-03-02"}`, clinic1, 200, []string{second.ScheduleID, first.ScheduleID}, []string{visitors[second.ScheduleID], visitors[first.ScheduleID]}},
			{dayPath, `{"date":"2026-03-03"}`, clinic1, 200, []string{}, []string{}},
			{dayPath, `{"date":"2026-03-02"}`, "clinic-2", 200, []string{}, []string{}},
			{changesPath, `{"changedSince":"2026-03-01T00:00:00Z"}`, clinic1, 200, []string{first.ScheduleID, second.ScheduleID}, []string{visitors[first.ScheduleID], visitors[second.ScheduleID]}},
			{changesPath, `{"changedSince":"2026-03-01T00:00:00Z"}`, "clinic-2", 200, []string{}, []string{}},
			{visitorsPath, `{"partOfVisitorName":"Kanarienvogel"}`, clinic1, 200, []string{}, []string{visitors[first.ScheduleID], visitors[second.ScheduleID]}},
			{visitorsPath, fmt.Sprintf(`{"email":%q}`, canaryEmail(2)), clinic1, 200, []string{}, []string{visitors[second.ScheduleID]}},
			{visitorsPath, `{"phone":{"countryCode":"82","phoneNumber":"1097531864"}}`, "clinic-2", 200, []string{}, []string{}},

			// These return no patient's data.
			{staffPath, `{}`, clinic1, 200, nil, nil},
			{zonesPath, `{}`, clinic1, 200, nil, nil},
			{blocksPath, `{"startDateTimeUtc":"2026-03-02T00:00:00Z","endDateTimeUtc":"2026-03-03T00:00:00Z"}`, clinic1, 200, nil, nil},
			{changesPath, fmt.Sprintf(`{"changedSince":%q}`, canaryUser), clinic1, 400, nil, nil},
			{changesPath, fmt.Sprintf(`{"cursor":%q}`, canaryUser), clinic1, 400, nil, nil},
			{staffPath, fmt.Sprintf(`{"cursor":%q}`, canaryUser), clinic1, 400, nil, nil},
			{blocksPath, fmt.Sprintf(`{"startDateTimeUtc":"2026-03-02T00:00:00Z","endDateTimeUtc":"2026-03-03T00:00:00Z","cursor":%q}`, canaryUser), clinic1, 400, nil, nil},
			{groupsPath, `{}`, clinic1, 200, nil, nil},
			{byGroupPath, fmt.Sprintf(`{"reservationGroupId":%q,"startDate":"2026-03-02","endDate":"2026-03-02","timezone":"Asia/Seoul"}`, skin), clinic1, 200, nil, nil},
			{byVisitV2Path, fmt.Sprintf(`{"scheduleId":%q,"startDateTimeUtc":"2026-03-02T00:00:00Z","endDateTimeUtc":"2026-03-02T01:00:00Z"}`, first.ScheduleID), clinic1, 200, nil, nil},
			{detailPath, fmt.Sprintf(`{"scheduleId":%q}`, first.ScheduleID), "clinic-2", 400, nil, nil},
			{detailPath, fmt.Sprintf(`{"scheduleId":%q}`, canaryUser), clinic1, 400, nil, nil},
			{dayPath, fmt.Sprintf(`{"date":%q}`, canaryUser), clinic1, 400, nil, nil},
			{dayPath, fmt.Sprintf(`{"date":"2026-03-02","zoneId":%q}`, canaryUser), clinic1, 400, nil, nil},
			{visitorsPath, fmt.Sprintf(`{"partOfVisitorName":"%s\u0000"}`, canaryUser), clinic1, 400, nil, nil},
			{visitorsPath, fmt.Sprintf(`{"partOfVisitorName":%q,"dateOfBirth":%q}`, canaryUser, canaryUser), clinic1, 400, nil, nil},
			{visitorsPath, fmt.Sprintf(`{"phone":{"countryCode":%q,"phoneNumber":%q}}`, canaryUser[:12], canaryUser[:12]), clinic1, 400, nil, nil},
			{visitorsPath, fmt.Sprintf(`{"phone":{"countryCode":["%s"]}}`, canaryPhone), clinic1, 400, nil, nil},
			{byGroupPath, fmt.Sprintf(`{"reservationGroupId":%q,"startDate":"x","endDate":"x","timezone":%q}`, skin, canaryUser), clinic1, 400, nil, nil},
			{byGroupsPath, fmt.Sprintf(`{"reservationGroupIds":[%q],"startDateTimeUtc":%q,"endDateTimeUtc":"x"}`, skin, canaryUser), clinic1, 400, nil, nil},
			{byVisitV1Path, fmt.Sprintf(`{"scheduleId":%q}`, canaryUser), clinic1, 400, nil, nil},
			{detailPath, `{}`, "wrong", 401, nil, nil},
			{visitorsPath, `{"partOfVisitorName":"Kanarienvogel"}`, "none", 401, nil, nil},
			{visitorsPath, `{"partOfVisitorName":"Kanarienvogel"}`, "google", 401, nil, nil},
		} {
			before := len(w.log.String())
			a := tell(c.status, c.path, c.body, c.who)
			var lines []accessLine
			for _, text := range strings.Split(strings.TrimSpace(w.log.String()[before:]), "\n") {
				var line accessLine
				w.must(json.Unmarshal([]byte(text), &line))
				if line.Message == "patient data read" {
					lines = append(lines, line)
				}
			}
			switch {
			case c.visitors == nil && len(lines) > 0:
				w.t.Errorf("%s %s: logged %+v", c.path, c.body, lines)
			case c.visitors == nil:
			case len(lines) != 1:
				w.t.Errorf("%s %s: %d lines", c.path, c.body, len(lines))
			case lines[0].Caller != c.who || lines[0].RequestID != a.header.Get("X-Request-Id") || lines[0].Count != len(c.visitors) ||
				!slices.Equal(lines[0].Schedules, c.schedules) || !slices.Equal(lines[0].Visitors, c.visitors):
				w.t.Errorf("%s %s: logged %+v, want schedules %q and visitors %q", c.path, c.body, lines[0], c.schedules, c.visitors)
			}
			if told := escaped(a.body, canaries()); c.status != 200 && told != nil {
				w.t.Errorf("%s %s: the refusal repeats %q", c.path, c.body, told)
			}
		}
		// Once somebody has been erased, nobody can read anything any more.
		_, err := w.service.Erase(w.t.Context(), booking.By{Actor: booking.ByOperator}, booking.Subject{MerchantID: clinic1, VisitorID: visitors[first.ScheduleID]}, true)
		w.must(err)
		_, err = w.service.Erase(w.t.Context(), booking.By{Actor: booking.ByOperator}, booking.Subject{MerchantID: clinic1, VisitorID: visitors[second.ScheduleID]}, true)
		w.must(err)
		for path, body := range map[string]string{
			detailPath: fmt.Sprintf(`{"scheduleId":%q}`, first.ScheduleID), dayPath: `{"date":"2026-03-02"}`, changesPath: `{"changedSince":"2026-03-01T00:00:00Z"}`, visitorsPath: `{"partOfVisitorName":"Kanarienvogel"}`,
		} {
			if a := tell(200, path, body, clinic1); escaped(a.body, []string{canaryGiven, canaryFamily, canaryPhone, canaryUser, canaryWish, canaryMemo, canaryTitle}) != nil {
				w.t.Errorf("%s still tells of who has been erased: %s", path, a.body)
			}
		}
		if told := escaped(w.log.String(), canaries()); told != nil {
			w.t.Errorf("%q is in the log:\n%s", told, w.log.String())
		}
	})
}
