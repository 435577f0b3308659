package gate

// Unless gives a store's error the protocol's name.
func Unless(err, busy error) error { return unless(err, busy) }
