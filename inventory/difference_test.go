package inventory

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

func catalogueToCompare() *Merchant {
	shift := &Day{Start: 540, End: 1080, Breaks: []Break{{780, 840}}}
	return &Merchant{
		ID: "m", Name: "Clinic", Kind: MerchantClinic, TimeZone: "UTC", Location: time.UTC,
		Zones: []Zone{{ID: "z1", Name: "Bed"}, {ID: "z2", Name: "Suite"}},
		Groups: []Group{{
			ID: "g", Title: "Skin", IntervalSec: 1800,
			Zones: []GroupZone{{ZoneID: "z1", Capacity: 2, Enabled: true}, {ZoneID: "z2", Capacity: 1, Enabled: true}},
		}},
		Staff:    []Staff{{ID: "s", Name: "Kim", Exclusive: true, Timetable: &Timetable{time.Monday: shift}}},
		Services: []Service{{ID: "v", GroupID: "g", DurationSec: 3600}},
		Offers:   []Offer{{ID: "o"}},
	}
}

func TestDifferences(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(m *Merchant)
		want   []string
	}{
		{"nothing", func(*Merchant) {}, nil},
		{"capacity down", func(m *Merchant) { m.Groups[0].Zones[0].Capacity = 1 }, []string{"changed zone z1 of group g: capacity: 2 → 1"}},
		{"a zone switched off", func(m *Merchant) { m.Groups[0].Zones[1].Enabled = false }, []string{"changed zone z2 of group g: enabled: true → false"}},
		{"a zone added", func(m *Merchant) { m.Zones = append(m.Zones, Zone{ID: "z3"}) }, []string{"added zone z3"}},
		{"a zone taken out of the group", func(m *Merchant) { m.Groups[0].Zones = m.Groups[0].Zones[:1] }, []string{
			"changed group g: zones: z1 z2 → z1", "removed zone z2 of group g",
		}},
		{"the zones the other way round", func(m *Merchant) { slices.Reverse(m.Groups[0].Zones) }, []string{"changed group g: zones: z1 z2 → z2 z1"}},
		{"a group removed", func(m *Merchant) { m.Groups = nil }, []string{"removed group g", "removed zone z1 of group g", "removed zone z2 of group g"}},
		{"hours", func(m *Merchant) { m.Staff[0].Timetable = &Timetable{time.Friday: {Start: 0, End: 1440}} }, []string{
			"changed staff s: timetable: Mon 09:00–18:00 without 13:00–14:00 → Fri 00:00–24:00",
		}},
		{"no hours", func(m *Merchant) { m.Staff[0].Timetable, m.Groups[0].Timetable = nil, &Timetable{} }, []string{
			"changed group g: timetable: always → never", "changed staff s: timetable: Mon 09:00–18:00 without 13:00–14:00 → always",
		}},
		{"a day off", func(m *Merchant) { m.Staff[0].ClosedDays = []Date{{2026, 12, 24}} }, []string{"changed staff s: closed_days: none → [2026-12-24]"}},
		{"who is banned is not said", func(m *Merchant) { m.Guests.Banned = []string{"+82 10-9999-9999"} }, []string{"changed clinic m: guests.banned: 0 → 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			after := catalogueToCompare()
			c.change(after)
			var got []string
			for _, d := range Differences(catalogueToCompare(), after) {
				got = append(got, d.String())
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if got := Differences(nil, catalogueToCompare()); len(got) != 9 || got[0].String() != "added clinic m" {
		t.Errorf("of a new clinic: %v", got)
	}
}

// No member of the catalogue can change without a difference.
func TestDifferencesAreComplete(t *testing.T) {
	silent := map[string]bool{"ID": true, "Kind": true, "Location": true, "Version": true, "ZoneID": true, "Former": true, "Chairs": true}
	var visit func(path string, pick func(*Merchant) reflect.Value)
	visit = func(path string, pick func(*Merchant) reflect.Value) {
		v := pick(catalogueToCompare())
		for i := range v.NumField() {
			f := v.Type().Field(i)
			field := func(m *Merchant) reflect.Value { return pick(m).Field(i) }
			switch {
			case silent[f.Name]:
			case f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[Date]():
				visit(path+f.Name+".", field)
			case f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct && f.Type.Elem() != reflect.TypeFor[Date]():
				visit(path+f.Name+".", func(m *Merchant) reflect.Value { return field(m).Index(0) })
			default:
				changed := catalogueToCompare()
				x := field(changed)
				switch x.Interface().(type) {
				case string, Grid, Sharing:
					x.SetString("another")
				case int, int64:
					x.SetInt(x.Int() + 1)
				case bool:
					x.SetBool(!x.Bool())
				case Date:
					x.Set(reflect.ValueOf(Date{2030, 1, 1}))
				case []Date:
					x.Set(reflect.ValueOf([]Date{{2030, 1, 1}}))
				case []string:
					x.Set(reflect.ValueOf([]string{"another"}))
				case *int:
					x.Set(reflect.ValueOf(new(int)))
				case *Price:
					x.Set(reflect.ValueOf(&Price{Micros: 1}))
				case *Deposit:
					x.Set(reflect.ValueOf(&Deposit{Type: "another"}))
				case *Fee:
					x.Set(reflect.ValueOf(&Fee{Type: "another"}))
				case *Timetable:
					x.Set(reflect.ValueOf(&Timetable{}))
				default:
					t.Fatalf("%s%s: what is a %s?", path, f.Name, x.Type())
				}
				if len(Differences(catalogueToCompare(), changed)) == 0 {
					t.Errorf("%s%s can change unseen", path, f.Name)
				}
			}
		}
	}
	visit("", func(m *Merchant) reflect.Value { return reflect.ValueOf(m).Elem() })
}
