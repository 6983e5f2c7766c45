-- A clinic's guests by their number, without what people put between its
-- digits. The expression is that of storage/desk.go.

-- +goose Up

CREATE INDEX guests_phone ON guests (merchant_id,
    replace(replace(replace(replace(replace(replace(phone, ' ', ''), '-', ''), '(', ''), ')', ''), '.', ''), '+', ''));
