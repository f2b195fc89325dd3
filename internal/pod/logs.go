package pod

// LogSource is what one container logs: files in Dir, its output, or both.
type LogSource struct {
	// Container is the container's name. It gets the variables LOG_DIR, LOG_MAX_BYTES and LOG_GENERATIONS.
	Container string
	// Dir is the absolute path of the folder where the container writes Files. A volume is mounted there. The image must not have it.
	Dir string
	// Files are the names of the files in Dir, each NAME.log. NAME is the stream of their lines. The container must rotate them: it
	// renames a file that reaches LOG_MAX_BYTES to NAME.log.1, the one before to NAME.log.2, and so on up to LOG_GENERATIONS.
	// access.log holds one JSON object a line. The others hold text.
	Files []string
	// Output ships the container's standard output and error too, as stream "output". The container must have a command, and its image
	// /bin/sh and mkfifo, or Static.
	Output bool
	// Static has the output copied by a program instead of a shell's script. The image then needs nothing.
	Static bool
	// Fields are the fields of the container's JSON lines that can be searched, with their types, beside those of all pods.
	Fields map[string]string
}
