package store

// room is how many bytes fit into the file system of a folder; -1: unknown.
func room(string) int64 { return -1 }
