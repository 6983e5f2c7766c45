package google

import (
	"holdfast/api/mapsbooking"
	"holdfast/booking"
	"holdfast/inventory"
)

// Google's words for ours. What is not in modeOf was not said.
var (
	modeOf = map[mapsbooking.ConfirmationMode]booking.ConfirmationMode{
		mapsbooking.ConfirmationMode_CONFIRMATION_MODE_SYNCHRONOUS:  booking.Synchronous,
		mapsbooking.ConfirmationMode_CONFIRMATION_MODE_ASYNCHRONOUS: booking.Asynchronous,
	}
	modes = map[booking.ConfirmationMode]mapsbooking.ConfirmationMode{
		booking.Synchronous:  mapsbooking.ConfirmationMode_CONFIRMATION_MODE_SYNCHRONOUS,
		booking.Asynchronous: mapsbooking.ConfirmationMode_CONFIRMATION_MODE_ASYNCHRONOUS,
	}
	statuses = map[booking.State]mapsbooking.BookingStatus{
		booking.Pending:    mapsbooking.BookingStatus_PENDING_MERCHANT_CONFIRMATION,
		booking.Confirmed:  mapsbooking.BookingStatus_CONFIRMED,
		booking.InProgress: mapsbooking.BookingStatus_CONFIRMED,
		booking.Completed:  mapsbooking.BookingStatus_CONFIRMED,
		booking.Canceled:   mapsbooking.BookingStatus_CANCELED,
		booking.Declined:   mapsbooking.BookingStatus_DECLINED_BY_MERCHANT,
		booking.Failed:     mapsbooking.BookingStatus_FAILED,
		booking.NoShow:     mapsbooking.BookingStatus_NO_SHOW,
	}
)

// messageOf returns a booking as Google sees it: as it is now, with the guest and the payment as they
// were given.
func messageOf(b booking.Booking) *mapsbooking.Booking {
	m := &mapsbooking.Booking{
		BookingId:          b.ID.String(),
		Slot:               slotMessage(b),
		UserInformation:    userMessage(b.Contact),
		Status:             statuses[b.State],
		PaymentInformation: paymentMessage(b.Payment),
	}
	if b.OfferID != "" {
		m.OfferInfo = &mapsbooking.OfferInfo{OfferId: b.OfferID}
	}
	return m
}

func slotOf(slot *mapsbooking.Slot) booking.Slot {
	return booking.Slot{
		MerchantID: slot.GetMerchantId(), ServiceID: slot.GetServiceId(),
		StartSec: slot.GetStartSec(), DurationSec: slot.GetDurationSec(),
		StaffID: slot.GetResources().GetStaffId(), RoomID: slot.GetResources().GetRoomId(),
		PartySize:       int(slot.GetResources().GetPartySize()),
		AvailabilityTag: slot.GetAvailabilityTag(), ConfirmationMode: modeOf[slot.GetConfirmationMode()],
	}
}

func slotMessage(b booking.Booking) *mapsbooking.Slot {
	slot := &mapsbooking.Slot{
		MerchantId: b.MerchantID, ServiceId: b.ServiceID,
		StartSec: new(b.StartSec), DurationSec: new(b.EndSec - b.StartSec),
		AvailabilityTag: b.AvailabilityTag, ConfirmationMode: modes[b.ConfirmationMode],
	}
	if b.StaffID != "" || b.RoomID != "" || b.PartySize != 0 {
		slot.Resources = &mapsbooking.ResourceIds{StaffId: b.StaffID, RoomId: b.RoomID}
		if b.PartySize != 0 {
			slot.Resources.PartySize = new(int32(b.PartySize)) //nolint:gosec // at most maxPartySize
		}
	}
	return slot
}

func contactOf(u *mapsbooking.UserInformation) booking.Contact {
	c := booking.Contact{
		UserID: u.GetUserId(), GivenName: u.GetGivenName(), FamilyName: u.GetFamilyName(),
		Telephone: u.GetTelephone(), Email: u.GetEmail(), LanguageCode: u.GetLanguageCode(),
	}
	if a := u.GetAddress(); a != nil {
		c.Address = &booking.Address{
			Country: a.Country, Locality: a.Locality, Region: a.Region,
			PostalCode: a.PostalCode, StreetAddress: a.StreetAddress,
		}
	}
	return c
}

func userMessage(c booking.Contact) *mapsbooking.UserInformation {
	u := &mapsbooking.UserInformation{
		UserId: c.UserID, GivenName: c.GivenName, FamilyName: c.FamilyName,
		Telephone: c.Telephone, Email: c.Email, LanguageCode: c.LanguageCode,
	}
	if a := c.Address; a != nil {
		u.Address = &mapsbooking.PostalAddress{
			Country: a.Country, Locality: a.Locality, Region: a.Region,
			PostalCode: a.PostalCode, StreetAddress: a.StreetAddress,
		}
	}
	return u
}

// paymentOf returns what we store of the payment, which is only the agreement. We drop messages from the
// card's issuer and from Google's fraud detection.
func paymentOf(p *mapsbooking.PaymentInformation) *booking.Payment {
	if p == nil {
		return nil
	}
	kept := &booking.Payment{
		PrepaymentStatus: word(p.PrepaymentStatus), TransactionID: p.PaymentTransactionId,
		Price: priceOf(p.Price), TaxAmount: priceOf(p.TaxAmount), Fees: priceOf(p.Fees), FeesAndTaxes: priceOf(p.FeesAndTaxes),
		ProcessedBy:     word(p.PaymentProcessedBy),
		PaymentOptionID: p.PaymentOptionId, UserPaymentOptionID: p.UserPaymentOptionId,
	}
	if d := p.Deposit; d != nil {
		kept.Deposit = &inventory.Deposit{
			Deposit: priceOf(d.Deposit), MinAdvanceCancellationSec: d.MinAdvanceCancellationSec,
			Type: word(d.DepositType),
		}
	}
	if f := p.NoShowFee; f != nil {
		kept.NoShowFee = &inventory.Fee{Fee: priceOf(f.Fee), Type: word(f.FeeType)}
	}
	return kept
}

func paymentMessage(p *booking.Payment) *mapsbooking.PaymentInformation {
	if p == nil {
		return nil
	}
	m := &mapsbooking.PaymentInformation{
		PrepaymentStatus:     mapsbooking.PrepaymentStatus(mapsbooking.PrepaymentStatus_value[p.PrepaymentStatus]),
		PaymentTransactionId: p.TransactionID,
		Price:                priceMessage(p.Price), TaxAmount: priceMessage(p.TaxAmount),
		Fees: priceMessage(p.Fees), FeesAndTaxes: priceMessage(p.FeesAndTaxes),
		PaymentProcessedBy: mapsbooking.PaymentProcessedBy(mapsbooking.PaymentProcessedBy_value[p.ProcessedBy]),
		PaymentOptionId:    p.PaymentOptionID, UserPaymentOptionId: p.UserPaymentOptionID,
	}
	if d := p.Deposit; d != nil {
		m.Deposit = &mapsbooking.Deposit{
			Deposit: priceMessage(d.Deposit), MinAdvanceCancellationSec: d.MinAdvanceCancellationSec,
			DepositType: mapsbooking.PriceType(mapsbooking.PriceType_value[d.Type]),
		}
	}
	if f := p.NoShowFee; f != nil {
		m.NoShowFee = &mapsbooking.NoShowFee{Fee: priceMessage(f.Fee), FeeType: mapsbooking.PriceType(mapsbooking.PriceType_value[f.Type])}
	}
	return m
}

func priceOf(p *mapsbooking.Price) *inventory.Price {
	if p == nil {
		return nil
	}
	return &inventory.Price{Micros: p.PriceMicros, Currency: p.CurrencyCode, Tag: p.PricingOptionTag}
}

func priceMessage(p *inventory.Price) *mapsbooking.Price {
	if p == nil {
		return nil
	}
	return &mapsbooking.Price{PriceMicros: p.Micros, CurrencyCode: p.Currency, PricingOptionTag: p.Tag}
}

// word returns an enumeration's word; "" for its zero value, which JSON leaves out, too.
func word[E interface {
	~int32
	String() string
}](e E) string {
	if e == 0 {
		return ""
	}
	return e.String()
}
