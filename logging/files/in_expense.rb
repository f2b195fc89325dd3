# frozen_string_literal: true

# The fluentd input that reads a pod's log files: each line, or message of several lines, becomes one event of path, ID and
# text. fluentd's own in_tail trusts a log folder: a FIFO stops it for good, of a symbolic link it ships what it points at
# (the sidecar's own token, say), nothing bounds a message of several lines, and some lines it prints as they are
# (https://github.com/fluent/fluentd/blob/v1.19.3/lib/fluent/plugin/in_tail.rb: open, parse_multilines).
#
# A file is known by its inode, which is nobody else's while it is open, and what has been handed over by a position in it.
# A message that is not complete yet is not kept but read again, so that nothing is lost with the process, and an ID is
# made of the file's own and the position, so that what is read again is the same document.
require "json"
require "securerandom"
require "fluent/plugin/input"

module Fluent
  module Plugin
    class ExpenseInput < Input
      Fluent::Plugin.register_input("expense", self)
      helpers :thread

      config_param :tag, :string
      # The files, below dir: CONTAINER/STREAM.log. Read are these and their rotated generations, FILE.1 to FILE.9, and
      # nothing else that is there.
      config_param :dir, :string
      config_param :files, :array
      # Where the positions are kept.
      config_param :pos_file, :string
      # The fields of an event in which the file's path and the document's ID are.
      config_param :path_key, :string
      config_param :id_key, :string

      # The bytes of a line, and of a message of several, with the one that tells the filter that there were more. The rest
      # of a longer line is skipped, that of a longer message is another one.
      LINE = 512 * 1024 + 1
      # What is read at once, where a little is not enough: a message and the line after it.
      BLOCKS = [128 * 1024, 3 * LINE].freeze
      # How many events are handed over at once.
      EVENTS = 500
      # Seconds: between two looks at the files; that a message waits for its next line; that a file is read after it was
      # removed; that reading goes on after fluentd was told to stop, which leaves the output most of the pod's grace.
      LOOK = 0.5
      OPEN = 2
      GONE = 5
      STOP = 20

      # Lines that go on with the one before.
      CONTINUED = /\A(?:\s|Caused by: )/
      # nginx's errors (https://nginx.org/en/docs/ngx_core_module.html#error_log, ngx_log_error_core). What this admits is a
      # time and numbers of 64 bits.
      NGINX = %r{\A(20\d\d)/(0[1-9]|1[0-2])/(0[1-9]|[12]\d|3[01]) ([01]\d|2[0-3]):([0-5]\d):([0-5]\d) \[([a-z]+)\] (\d{1,9})#\d+: (?:\*(\d{1,18}) )?}

      # A file: its ID for documents, the position before which all was handed over, whether that is within a line that is
      # skipped, the monotonic second since which the message at the position is open, and that in which the file was removed.
      Followed = Struct.new(:io, :path, :rotated, :id, :position, :skipping, :since, :gone)

      def configure(conf)
        super
        @streams = @files.to_h { |name| [name, [name, *(1..9).map { |n| "#{name}.#{n}" }].reverse] }
        # By stream, and in it by inode in the order of reading: the oldest first.
        @followed = @streams.transform_values { {} }
        @refused = {}
      end

      def start
        super
        @saved = positions
        # Twice, as a file can be renamed during one look. What is not there then is gone, and its inode may be another file's.
        2.times { look }
        @saved = {}
        @reader = thread_create(:reader) { follow while thread_current_running? }
      end

      # Outputs go on until all inputs have shut down (root_agent.rb, shutdown).
      def shutdown
        @reader&.join
        deadline = now + STOP
        nil while round(true) && now < deadline
        super
      rescue StandardError => e
        log.error("the log files could not be read to their end", error: e.class.name)
      end

      private

      def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

      # A thread that ends would be an end of all logs that nobody sees.
      def follow
        sleep(LOOK) unless round(false)
      rescue StandardError => e
        log.error("the log files could not be read", error: e.class.name)
        sleep(LOOK)
      end

      # look finds the files that are there now.
      def look
        @streams.each do |stream, names|
          there = names.filter_map { |name| file(stream, name) }.to_h { |file| [file.io.stat.ino, file] }
          @followed[stream].each do |inode, file|
            next if there[inode]

            file.gone ||= now
            there = { inode => file, **there }
          end
          @followed[stream] = there
        end
      end

      # file is the file of this name, open, or nil if there is none that may be read. Between the look at it and its opening
      # it could be replaced: neither a link is followed then, nor does a FIFO wait.
      def file(stream, name)
        path = File.join(@dir, name)
        stat = File.lstat(path)
        return refuse(path, stat.ftype) unless stat.file?

        known = @followed[stream][stat.ino]
        unless known
          io = File.open(path, File::RDONLY | File::NOFOLLOW | File::NONBLOCK | File::BINARY)
          stat = io.stat
          return refuse(path, stat.ftype) unless stat.file?

          id, position, skipping = @saved.delete(stat.ino.to_s)
          known = Followed.new(io, path, false, id || SecureRandom.alphanumeric(16), position || 0, skipping || false, now)
        end
        @refused.delete(path)
        known.path, known.rotated, known.gone = path, name != stream, nil
        known
      rescue Errno::ENOENT, Errno::ENOTDIR
        nil
      rescue SystemCallError => e
        refuse(path, e.class.name)
      end

      # refuse says once that there is a file that is not read.
      def refuse(path, found)
        log.warn("not read: only regular files that the sidecar may read are", path: path, found: found) unless @refused[path] == found
        @refused[path] = found
        nil
      end

      # round reads a little of each stream, so that none keeps the others waiting, of its oldest file that has something. It
      # says whether there may be more.
      def round(last)
        look
        streams = @followed.map do |_, files|
          files.delete_if { |_, file| file.gone && now - file.gone > GONE && !more?(file) && (file.io.close || true) }
          files.each_value.any? { |file| read(file, last) }
        end
        streams.any?
      end

      def more?(file) = file.io.stat.size > file.position

      # read hands over what is complete of a file, or all where it is the last time, and says whether there was any.
      def read(file, last)
        # Emptied in place: another file, for all that is known.
        move(file, 0, false, SecureRandom.alphanumeric(16)) if file.io.stat.size < file.position
        unless more?(file)
          file.since = now
          return false
        end

        waited = now - file.since > OPEN
        BLOCKS.each do |block|
          text = file.io.pread(block, file.position)
          full = text.bytesize == block
          events, used, skipping = messages(file, text, waited && !full, !full && (last || waited && (file.rotated || file.gone)))
          next if used.zero? && full
          return hand_over(file, events, file.position + used, skipping) if used.positive?

          # Only the beginning of a line, which is not an open message yet.
          file.since = now unless text.include?("\n") || file.rotated || file.gone
          return false
        end
        false
      rescue EOFError
        false
      end

      # messages are the events of a text that was read at the file's position, how many of its bytes they are, and whether
      # these end within a line that is skipped. The last message is open, as its next line may still come: it is closed if it
      # is the one that has waited, or if the file ends here.
      def messages(file, text, close_message, close_line)
        events, used, at, message, start, skipping = [], 0, 0, nil, 0, file.skipping
        done = lambda do
          events << event(file, message, start) if message
          message = nil
          used = at
        end
        # Not more than fits into a chunk of the buffer, which takes an event at a time where it does not.
        enough = -> { events.size >= EVENTS || used >= LINE }
        text.each_line do |line|
          complete = line.end_with?("\n")
          if skipping
            skipping = !complete
            at += line.bytesize
            used = at
            next
          end
          break unless complete || close_line || line.bytesize > LINE

          length, whole = line.bytesize, line
          line = line.byteslice(0, LINE) if line.bytesize > LINE
          if message && (access?(file) || !CONTINUED.match?(line) || message.bytesize + line.bytesize > LINE)
            done.call
            break if enough.call
          end
          message ? message << line : (message, start = +line, at)
          at += length
          skipping = !whole.end_with?("\n") && !close_line
          done.call if skipping || access?(file)
          break if enough.call
        end
        done.call if message && (close_message && start.zero? || close_line)
        [events, used, skipping && used == at]
      end

      def access?(file) = file.path.include?("/access.log")

      def event(file, message, start)
        record = { @path_key => file.path, @id_key => "#{file.id}-#{file.position + start}" }
        message.chomp!
        head = NGINX.match(message) unless access?(file)
        return [Fluent::EventTime.now, record.merge!("message" => message)] unless head

        record["level"], record["pid"] = head[7], head[8].to_i
        record["connection"] = head[9].to_i if head[9]
        record["message"] = head.post_match
        [Fluent::EventTime.from_time(Time.utc(*head.captures.first(6))), record]
      end

      # hand_over is false where the events have to wait: the buffer is full and fluentd stops, or its disk fails.
      def hand_over(file, events, position, skipping)
        stream = Fluent::MultiEventStream.new
        events.each { |time, record| stream.add(time, record) }
        router.emit_stream(@tag, stream) unless events.empty?
        move(file, position, skipping)
      rescue Fluent::Plugin::Buffer::BufferChunkOverflowError
        # Of an event that is larger than a chunk. The others are in the buffer, and it would be the same again.
        log.error("a line is larger than the output takes: it is lost", path: file.path)
        move(file, position, skipping)
      rescue StandardError => e
        log.error("the buffer does not take more: reading goes on later", error: e.class.name)
        false
      end

      def move(file, position, skipping, id = file.id)
        file.position, file.skipping, file.id, file.since = position, skipping, id, now
        all = @followed.each_value.flat_map { |files| files.map { |inode, one| [inode.to_s, [one.id, one.position, one.skipping]] } }
        File.write("#{@pos_file}.new", JSON.generate(@saved.merge(all.to_h)))
        File.rename("#{@pos_file}.new", @pos_file)
        true
      end

      def positions
        File.exist?(@pos_file) ? JSON.parse(File.read(@pos_file)) : {}
      rescue JSON::ParserError
        log.error("the positions could not be read: all lines are sent again", path: @pos_file)
        {}
      end
    end
  end
end
