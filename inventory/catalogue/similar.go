package catalogue

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Like Google, we ignore members of a feed that neither of us knows. But a member that looks like one that we read is probably
// meant to be that one, and we would silently lose what it says.

// members are the members of an object in a feed.
type members struct {
	read    []string          // by us
	google  []string          // those that only Google reads
	instead map[string]string // other names for one of ours
}

var (
	topMembers   = members{read: []string{"metadata", "merchant", "service", "service_availability"}}
	metaMembers  = members{read: []string{"processing_instruction", "generation_timestamp", "total_shards", "shard_number", "nonce"}}
	groupMembers = members{
		read:   []string{"availability"},
		google: []string{"start_timestamp_restrict", "end_timestamp_restrict", "merchant_id_restrict", "service_id_restrict", "duration_restrict_sec", "resources_restrict"},
	}
	merchantMembers = members{
		read: []string{"merchant_id", "name"},
		google: []string{"telephone", "url", "geo", "category", "num_bookings_30d", "tax_rate_basis_points", "tax_rate", "payment_restrictions",
			"payment_option", "payment_processor_config", "tokenization_config", "terms", "brand_id", "matching_hints", "service_attribute",
			"action_link", "waitlist_advisement", "advisement", "reservation_linkout_template"},
	}
	serviceMembers = members{
		read: append([]string{"merchant_id", "service_id", "name", "localized_service_name", "rules", "scheduling_rules"}, chargesKeys...),
		google: []string{"description", "localized_description", "form", "payment_option_id", "prepayment_type", "service_attribute_value_id",
			"require_credit_card", "action_link", "type", "virtual_session", "direct_merchant_payment", "prepayment_terms", "rating",
			"intake_form", "per_ticket_intake_form", "waitlist_rules", "ticket_type", "related_media", "price_interpretation", "uri_template",
			"integration_type", "toll_info", "per_order_ticket_rules", "homeservice_data", "joint_pricing"},
	}
	rulesMembers = members{
		read: []string{"min_advance_booking", "min_advance_online_canceling"},
		google: []string{"late_cancellation_fee", "noshow_fee", "admission_policy", "cancellation_policy", "min_booking_buffer_before_end_time",
			"min_advance_cancellation_sec"},
	}
	rowMembers = members{
		read: append([]string{"merchant_id", "service_id", "start_sec", "duration_sec", "spots_total", "spots_open", "resources",
			"confirmation_mode", "scheduling_rule_overrides", "recurrence", "schedule_exception"}, chargesKeys...),
		google:  []string{"availability_tag", "payment_option_id", "require_credit_card", "ticket_type_id", "duration_requirement", "linkout_required_reason"},
		instead: map[string]string{"start_time": "start_sec", "end_time": "duration_sec", "end_sec": "duration_sec"},
	}
	resourcesMembers = members{
		read:   append([]string{"staff_id", "room_id", "party_size"}, chargesKeys...),
		google: []string{"staff_name", "room_name"},
	}
	overridesMembers  = members{read: []string{"first_bookable_sec", "last_bookable_sec", "last_online_cancellable_sec"}}
	recurrenceMembers = members{read: []string{"repeat_every_sec", "repeat_until_sec"}}
	exceptionMembers  = members{read: []string{"time_range"}}
	rangeMembers      = members{
		read:    []string{"begin_sec", "end_sec"},
		instead: map[string]string{"start_sec": "begin_sec", "start_time": "begin_sec"},
	}
	localizedMembers = members{read: []string{"value"}, google: []string{"localized_value"}}
	priceMembers     = members{
		read: []string{"price_micros", "currency_code", "pricing_option_tag"},
		instead: map[string]string{"units": "price_micros", "nanos": "price_micros", "amount": "price_micros", "value": "price_micros",
			"price": "price_micros", "amount_micros": "price_micros", "currency": "currency_code"},
	}
	taxMembers        = members{read: []string{"micro_percent"}}
	depositMembers    = members{read: []string{"deposit", "min_advance_cancellation_sec", "deposit_type"}}
	feeMembers        = members{read: []string{"fee", "fee_type"}}
	prepaymentMembers = members{read: []string{"price_info"}}
	priceInfoMembers  = members{read: []string{"price", "price_type"}}
)

// likely warns of members that probably mean others.
func (p *place) likely(m members) {
	object, _ := p.value.(map[string]any)
	unknown := 0
	for key := range object {
		if !m.has(key) {
			unknown++
		}
	}
	if unknown == 0 { // nearly always
		return
	}
	for _, key := range slices.Sorted(maps.Keys(object)) {
		p.likelyKey(key, m)
	}
}

// likelyKey warns of one member.
func (p *place) likelyKey(key string, m members) {
	if meant := m.meant(key); meant != "" {
		p.at(key).doubt("unknown and ignored; did you mean %s?", meant)
	}
}

func (m members) has(key string) bool {
	return slices.Contains(m.read, key) || slices.Contains(m.google, key)
}

// meant returns the member that an unknown key looks like, or "".
func (m members) meant(key string) string {
	if m.has(key) || len(key) > 64 {
		return ""
	}
	plain := spelling(key)
	if instead, ok := m.instead[strings.ToLower(key)]; ok {
		return instead
	}
	for _, known := range m.google { // nothing is lost
		if spelling(known) == plain {
			return ""
		}
	}
	best, closest := "", 3
	for _, known := range m.read {
		if d := distance(plain, spelling(known)); d < closest && 3*d <= len(plain) {
			best, closest = known, d
		}
	}
	if best != "" {
		return best
	}
	bare := withoutUnit(plain)
	for _, known := range m.read {
		if withoutUnit(spelling(known)) == bare {
			return known
		}
	}
	return ""
}

// spelling is a key without what people spell differently.
func spelling(key string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "", ".", "").Replace(strings.ToLower(key))
}

// withoutUnit is a key without the unit at its end.
func withoutUnit(key string) string {
	for _, unit := range []string{"milliseconds", "seconds", "minutes", "millis", "second", "secs", "mins", "timestamp", "time", "sec", "min", "ms", "s"} {
		if bare, ok := strings.CutSuffix(key, unit); ok && len(bare) > 3 {
			return bare
		}
	}
	return key
}

// distance returns how many letters to add, remove, change or swap with the next one to turn a into b.
func distance(a, b string) int {
	if len(a)-len(b) > 3 || len(b)-len(a) > 3 {
		return 4
	}
	before, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	var older []int
	for i := range len(a) {
		older, before, row = before, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(before[j]+cost, before[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], older[j-1]+1)
			}
		}
	}
	return row[len(b)]
}

// doubt records something that is not wrong but looks like a mistake. If many rows have the same doubt, only the first is
// reported.
func (p *place) doubt(format string, args ...any) { p.found.doubt(p, fmt.Sprintf(format, args...)) }
