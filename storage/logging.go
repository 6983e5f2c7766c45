package storage

import (
	"context"
	"errors"
	"fmt"
)

// checkLogging refuses a server whose log would contain what guests told us. By default
// PostgreSQL logs a failed statement without its parameters, but logs them with a statement
// that is slow, or when it logs all. log_error_verbosity = terse keeps them out of both.
func checkLogging(ctx context.Context, db *DB) error {
	var s struct {
		Terse      bool   // details are not logged, and parameters are details
		OnError    string // how much of a failed statement's parameters is logged
		Parameters string // how much of another statement's
		Why        string // the setting that logs statements; "" if none does
		Plans      string // the setting that logs plans, which contain values
	}
	err := db.write.WithContext(ctx).Raw(`SELECT
		current_setting('log_error_verbosity') = 'terse' AS terse,
		current_setting('log_parameter_max_length_on_error') AS on_error,
		current_setting('log_parameter_max_length') AS parameters,
		CASE
			WHEN current_setting('log_statement') IN ('mod', 'all') THEN 'log_statement = ' || current_setting('log_statement')
			WHEN current_setting('log_min_duration_statement') <> '-1' THEN 'log_min_duration_statement = ' || current_setting('log_min_duration_statement')
			WHEN current_setting('log_min_duration_sample') <> '-1' THEN 'log_min_duration_sample = ' || current_setting('log_min_duration_sample')
			WHEN current_setting('log_transaction_sample_rate') <> '0' THEN 'log_transaction_sample_rate = ' || current_setting('log_transaction_sample_rate')
			ELSE '' END AS why,
		CASE
			WHEN COALESCE(current_setting('auto_explain.log_min_duration', true), '-1') NOT IN ('-1', '') THEN 'auto_explain.log_min_duration = ' || current_setting('auto_explain.log_min_duration')
			WHEN COALESCE(current_setting('pgaudit.log_parameter', true), 'off') = 'on' THEN 'pgaudit.log_parameter = on'
			ELSE '' END AS plans`).Scan(&s).Error
	const leak = "and PostgreSQL's log would have guests' names and telephone numbers"
	if err != nil {
		return fmt.Errorf("read what PostgreSQL logs: %w", err)
	}
	var unsafe []error
	if !s.Terse && s.OnError != "0" {
		unsafe = append(unsafe, unsafeSetting("log_parameter_max_length_on_error", s.OnError, leak, "set it to 0, its default, for the server, this database and this role"))
	}
	if !s.Terse && s.Why != "" && s.Parameters != "0" {
		unsafe = append(unsafe, unsafeSetting("log_parameter_max_length", s.Parameters+" with "+s.Why, leak,
			"set log_parameter_max_length = 0 or log_error_verbosity = terse, for the server or, as a superuser, with ALTER DATABASE … SET: statements are then logged without their parameters"))
	}
	if s.Plans != "" {
		unsafe = append(unsafe, unsafeSetting("PostgreSQL's logging", "set to "+s.Plans, leak, "turn it off for this database"))
	}
	return errors.Join(unsafe...)
}
