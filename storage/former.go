package storage

import (
	"fmt"

	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"holdfast/inventory"
)

type formerRow struct {
	MerchantID string
	Kind       inventory.FormerKind
	ServiceID  string
	Value      string
	RemovedSec int64
}

func (formerRow) TableName() string { return "former_catalogue" }

// mostFormer is how many things that a merchant once had we remember, the newest ones. They
// are in memory with the catalogue.
const mostFormer = 5_000

// readFormer reads what guests could once ask a merchant for; nil if nothing.
func readFormer(tx *gorm.DB, merchantID string) (map[inventory.Former]bool, error) {
	var rows []formerRow
	if err := tx.Where("merchant_id = ?", merchantID).Order("removed_sec DESC").Limit(mostFormer).Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read what was once: %w", err)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	former := make(map[inventory.Former]bool, len(rows))
	for _, r := range rows {
		former[inventory.Former{Kind: r.Kind, ServiceID: r.ServiceID, Value: r.Value}] = true
	}
	return former, nil
}

// putFormer remembers what an import takes away from a locked merchant, and forgets the
// oldest.
func putFormer(tx *gorm.DB, merchantID string, gone []inventory.Former, nowSec int64) error {
	if len(gone) == 0 {
		return nil
	}
	rows := make([]formerRow, min(len(gone), mostFormer))
	for i := range rows {
		rows[i] = formerRow{MerchantID: merchantID, Kind: gone[i].Kind, ServiceID: gone[i].ServiceID, Value: gone[i].Value, RemovedSec: nowSec}
	}
	put := tx.Clauses(clause.OnConflict{
		Columns:   []clause.Column{{Name: "merchant_id"}, {Name: "kind"}, {Name: "service_id"}, {Name: "value"}},
		DoUpdates: clause.AssignmentColumns([]string{"removed_sec"}),
	}).CreateInBatches(&rows, rowsAtOnce)
	if put.Error != nil {
		return fmt.Errorf("remember what was: %w", put.Error)
	}
	forget := tx.Exec(`DELETE FROM former_catalogue WHERE merchant_id = @merchant AND removed_sec < (SELECT MIN(n.removed_sec) FROM (
		SELECT removed_sec FROM former_catalogue WHERE merchant_id = @merchant ORDER BY removed_sec DESC LIMIT @most) n)`,
		map[string]any{"merchant": merchantID, "most": mostFormer})
	if forget.Error != nil {
		return fmt.Errorf("forget what was long ago: %w", forget.Error)
	}
	return nil
}
