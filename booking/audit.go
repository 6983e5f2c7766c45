package booking

import "context"

// signature is who stands behind what the desk does.
type signature struct {
	actor Actor
	keyID string
}

type signatureKey struct{}

// WithKey returns a context in which what the desk does is noted as done with
// this key of the clinic.
func WithKey(ctx context.Context, keyID string) context.Context {
	return context.WithValue(ctx, signatureKey{}, signature{ByDesk, keyID})
}

// WithOperator returns a context in which what the desk does is noted as done by
// the operator, on the command line.
func WithOperator(ctx context.Context) context.Context {
	return context.WithValue(ctx, signatureKey{}, signature{actor: ByOperator})
}

// inTx is [Store.InTx] with events that say who stands behind the desk. Every
// operation goes through it.
func (s *Service) inTx(ctx context.Context, touches Keys, f func(Tx) error) error {
	by, signs := ctx.Value(signatureKey{}).(signature)
	if !signs {
		return s.Store.InTx(ctx, touches, f)
	}
	return s.Store.InTx(ctx, touches, func(tx Tx) error { return f(signed{tx, by}) })
}

// signed is a transaction that signs what the desk does.
type signed struct {
	Tx
	by signature
}

func (s signed) PutBooking(b Booking, e Event) {
	if e.Actor == ByDesk {
		e.Actor, e.KeyID = s.by.actor, s.by.keyID
	}
	if b.Version == 1 && b.CreatedBy == ByDesk {
		b.CreatedBy = s.by.actor
	}
	s.Tx.PutBooking(b, e)
}
