package pod

// LogSource is what one container logs: files in Dir, its output, or both. One of the two is required.
type LogSource struct {
	// Container is the container's name. The container is given LOG_DIR, LOG_MAX_BYTES and LOG_GENERATIONS in its
	// environment.
	Container string
	// Dir is the absolute path at which the container writes Files. It is mounted there, and must not be in the image.
	Dir string
	// Files are the names of the files that the container writes in Dir, each NAME.log. NAME is the stream under which its
	// lines are found. The container must rotate them: a file that reaches LOG_MAX_BYTES is renamed to NAME.log.1, the one
	// before it to NAME.log.2, up to LOG_GENERATIONS. access.log holds one JSON object a line, the others hold text.
	Files []string
	// Output says that the container's standard output and error are shipped too, as stream "output". Its command must be
	// known, and its image must have a shell as /bin/sh and mkfifo.
	Output bool
}
