# frozen_string_literal: true

# The fluentd input that reads a pod's log files: each line, or message of several lines, becomes one event of path, ID and
# text. fluentd's own in_tail trusts a log folder: a FIFO stops it for good, of a symbolic link it ships what it points at
# (the sidecar's own token, say), nothing bounds a message of several lines, and some lines it prints as they are
# (https://github.com/fluent/fluentd/blob/v1.19.3/lib/fluent/plugin/in_tail.rb: open, parse_multilines).
#
# A file is known by its inode, which is nobody else's while it is open, and by the bytes before the position in it to which
# it has been handed over. A message that is not complete yet is not kept but read again, so that nothing is lost with the
# process, and an ID is made of the file's own and the position, so that what is read again is the same document.
require "digest"
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
      # The bytes that are read in a day. The first day's may be read at once.
      config_param :bytes_per_day, :integer
      # The fields of an event in which the file's path and the document's ID are.
      config_param :path_key, :string
      config_param :id_key, :string

      # The bytes of a line, and of a message of several, with the one that tells the filter that there were more. The rest
      # of a longer line is skipped, that of a longer message is another one.
      LINE = 512 * 1024 + 1
      # What is read at once, where a little is not enough: a message and the line after it.
      BLOCKS = [128 * 1024, 3 * LINE].freeze
      # How many events are handed over at once, and the bytes that each counts beside its text for the day's.
      EVENTS = 500
      EACH = 64
      # How many files that were removed are still read, and how many bytes of them: what rotation keeps, once more. They take
      # room on the disk, which the kubelet does not see.
      KEPT = 3
      KEPT_BYTES = 64 * 1024 * 1024
      # The bytes before a position by which a file is known.
      MARK = 256
      # Seconds: between two looks at the files; that a message waits for its next line; that a file is read after it was
      # removed; that reading goes on after fluentd was told to stop, which leaves the output most of the pod's grace; that a full
      # buffer is left alone; after which a hand-over is slow; between two times that a thing is said; after which a reader that does not come
      # round is given up.
      LOOK = 0.5
      OPEN = 2
      GONE = 5
      STOP = 20
      FULL = 2
      SLOW = 1
      SAY = 30
      STUCK = 120

      # Lines that go on with the one before.
      CONTINUED = /\A(?:\s|Caused by: )/
      # nginx's errors (https://nginx.org/en/docs/ngx_core_module.html#error_log, ngx_log_error_core). What this admits is a
      # time and numbers of 64 bits.
      NGINX = %r{\A(20\d\d)/(0[1-9]|1[0-2])/(0[1-9]|[12]\d|3[01]) ([01]\d|2[0-3]):([0-5]\d):([0-5]\d) \[([a-z]+)\] (\d{1,9})#\d+: (?:\*(\d{1,18}) )?}

      # A file: its ID for documents, the position before which all was handed over, the bytes before that, how many it had when it was
      # last looked at, whether it is within a line that is skipped, the monotonic second since which the message at the position is open, and that in which the file was
      # removed.
      Followed = Struct.new(:io, :stream, :path, :id, :position, :mark, :size, :skipping, :since, :gone) do
        # rotated says whether nothing more is written to it, unless its writer has not opened the next one yet.
        def rotated = path && !path.end_with?(stream)
        def unread = [io.stat.size - position, 0].max

        # before is what is before the position now.
        def before
          from = [position - MARK, 0].max
          from == position ? "".b : io.pread(position - from, from)
        rescue EOFError
          nil
        end
      end

      def configure(conf)
        super
        @streams = @files.to_h { |name| [name, [name, *(1..9).map { |n| "#{name}.#{n}" }].reverse] }
        # By stream, and in it by inode in the order of reading: the oldest first.
        @followed = @streams.transform_values { {} }
        @refused, @said, @lost = {}, {}, Hash.new(0)
        # The bytes that a stream hands over at once.
        @most = Hash.new(LINE)
        @left, @full_until = @bytes_per_day, 0
      end

      def start
        super
        @round = @counted = now
        @saved = positions
        # Twice, as a file can be renamed during one look. What is not there then is gone, and its inode may be another file's.
        2.times { look }
        @saved = {}
        @reader = thread_create(:reader) { follow while thread_current_running? }
        thread_create(:watch) { watch while thread_current_running? }
      end

      # Outputs go on until all inputs have shut down (root_agent.rb, shutdown).
      def shutdown
        # A reading that stands still must not keep the output from sending what is in the buffer.
        return log.error("the reading stands still: what was not read is lost if the pod ends") && super if @reader && !@reader.join(STOP)

        ends, @full_until = now + STOP, 0
        # What each container said last is read above the day's bytes too, a MiB of each file.
        @left = [@left, 2 * LINE * @streams.size].max
        while (more = round(ends)) || now < @full_until
          break if now > ends

          sleep(LOOK) unless more # A full buffer may empty meanwhile.
        end
        @said.clear
        say_lost
        log.warn("stopped before all was read: the rest is lost if the pod ends", bytes: unread) if unread.positive?
        super
      rescue StandardError => e
        log.error("the log files could not be read to their end", error: e.class.name)
      end

      private

      def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)

      # A thread that ends would be an end of all logs.
      def follow
        sleep(LOOK) unless round
      rescue StandardError => e
        say(:follow, "the log files could not be read", error: e.class.name)
        sleep(LOOK)
      end

      # watch ends the process of a reader that stands still, and the kubelet starts it again: nothing else would see it, as
      # /metrics is answered by another thread. Threads run on while one is within an expression (seen with Ruby 3.1 and 3.3).
      def watch
        sleep(LOOK)
        return if now - @round < STUCK

        log.fatal("the log files were not looked at for #{STUCK} seconds: fluentd ends, to be started again")
        exit!(1)
      end

      # say says a thing, if it was not said just before.
      def say(thing, text, details)
        return if @said[thing] && now - @said[thing] < SAY

        log.warn(text, details)
        @said[thing] = now
      end

      # tell says a thing in a document of the stream too, if the buffer takes it.
      def tell(thing, stream, text, details)
        return unless said = say(thing, text, details)

        record = { @path_key => File.join(@dir, stream), @id_key => "#{SecureRandom.alphanumeric(16)}-0" }
        record.merge!("level" => "warn", "message" => "fluentd: #{text}: #{details.map { |name, value| "#{name} #{value}" }.join(', ')}")
        told = Fluent::MultiEventStream.new
        told.add(Fluent::EventTime.now, record)
        router.emit_stream(@tag, told)
        said
      rescue StandardError
        said
      end

      # look finds the files that are there now.
      def look
        @streams.each do |stream, names|
          known, there = @followed[stream], {}
          names.each { |name| find(stream, name, known, there) }
          gone = known.reject { |inode, _| there[inode] }
          let_go(stream, gone)
          @followed[stream] = gone.merge(there)
        end
        say_lost
      end

      # let_go closes files that were removed, of the oldest first: those that are read, and those that are too much.
      def let_go(stream, gone)
        gone.each_value { |file| file.gone ||= now }
        count, bytes = gone.size, gone.each_value.sum(&:unread)
        gone.delete_if do |_, file|
          next unless count > KEPT || bytes > KEPT_BYTES || file.unread.zero? && now - file.gone > GONE

          count -= 1
          bytes -= file.unread
          @lost[stream] += file.unread
          file.io.close
          true
        end
      end

      def say_lost
        @lost.reject! do |stream, bytes|
          bytes.zero? || tell([:lost, stream], stream, "files were removed before they were read", path: stream, bytes: bytes)
        end
      end

      # find has the file of this name, open, among those that are there, unless it is none that may be read. Between the look at
      # it and its opening it could be replaced: neither a link is followed then, nor does a FIFO wait.
      def find(stream, name, known, there)
        path = File.join(@dir, name)
        stat = File.lstat(path)
        return refuse(path, stat.ftype) unless stat.file?

        unless there[stat.ino] || known[stat.ino]
          io = File.open(path, File::RDONLY | File::NOFOLLOW | File::NONBLOCK | File::BINARY)
          stat = io.stat
          if !stat.file? || there[stat.ino] || known[stat.ino]
            io.close
            return refuse(path, stat.ftype) unless stat.file?
          end
        end
        file = there[stat.ino] ||= known[stat.ino] || begin_with(io, stream, stat.ino)
        @refused.delete(path)
        file.path, file.gone = path, nil
      rescue Errno::ENOENT, Errno::ENOTDIR
        nil
      rescue SystemCallError => e
        refuse(path, e.class.name)
      end

      # begin_with is a file where it was left, if it is the one that was, or at its beginning.
      def begin_with(io, stream, inode)
        id, position, skipping, digest, size = @saved.dig(stream, inode.to_s)
        file = Followed.new(io, stream, nil, id, position || 0, nil, size || 0, skipping, now)
        file.mark = file.before
        begin_anew(file) unless id && digest(file) == digest
        # Whatever is handed over has an ID that outlives the process.
        @unsaved = true
        file
      end

      def begin_anew(file)
        file.id, file.position, file.mark, file.size, file.skipping = SecureRandom.alphanumeric(16), 0, "".b, 0, false
      end

      def digest(file) = file.mark && Digest::SHA256.hexdigest(file.mark)

      # refuse says once that there is a file that is not read.
      def refuse(path, found)
        return if @refused[path] == found

        @refused[path] = found if say(path, "not read: only regular files are, that the sidecar can open", path: path, found: found)
      end

      # round reads a little of each stream, so that none keeps the others waiting, of its oldest file that has something, or all
      # there is where it ends at a time. It says whether there may be more.
      def round(ends = nil)
        @round = now
        look
        save if @unsaved
        return false if @unsaved || now < @full_until || !within_the_day?

        @followed.values.map do |files|
          next if ends && now > ends

          @round = now
          files.each_value.any? { |file| read(file, ends) }
        end.any?
      end

      # within_the_day? says whether the pod has not logged more than a day's bytes. All its streams wait then, and a quiet one has
      # its turn each time that something may be read.
      def within_the_day?
        @left = [@left + (now - @counted) * @bytes_per_day / 86_400.0, @bytes_per_day].min
        @counted = now
        return true if @left.positive? || unread.zero?

        stream, = @followed.max_by { |_, files| files.each_value.sum(&:unread) }
        tell(:flood, stream, "more than a day's bytes were logged: reading goes on at the day's pace, and what rotation removes meanwhile is lost",
             path: stream, day: @bytes_per_day, unread: unread)
        false
      end

      def unread = @followed.each_value.sum { |files| files.each_value.sum(&:unread) }

      # read hands over what is complete of a file, or all where it is the last time, and says whether there was any.
      def read(file, last)
        # Emptied in place, or written anew: another file, for all that is known.
        size = file.io.stat.size
        unless file.before == file.mark && size >= file.size
          begin_anew(file)
          return false unless save
        end
        file.size = size
        if file.unread.zero?
          file.since = now
          return false
        end
        pass_hole(file)

        waited = now - file.since > OPEN
        BLOCKS.each do |block|
          text = file.io.pread(block, file.position)
          full = text.bytesize == block
          events, used, skipping = messages(file, text, waited && !full, !full && (last || waited && (file.rotated || file.gone)))
          next if used.zero? && full
          return hand_over(file, events, text.byteslice(0, used), skipping) if used.positive?

          # Only the beginning of a line, which is not an open message yet.
          file.since = now unless text.include?("\n") || file.rotated || file.gone
          return false
        end
        false
      rescue EOFError
        false
      rescue SystemCallError => e
        say([:read, file.path], "a log file could not be read", path: file.path, error: e.class.name)
        false
      end

      # pass_hole goes to where a file has something: a hole would be read as zeros, however large it is.
      def pass_hole(file)
        file.io.seek(file.position, IO::SEEK_DATA)
        skip(file, file.io.pos)
      rescue Errno::ENXIO
        skip(file, file.io.stat.size)
      rescue Errno::EINVAL
        nil # Not every file system knows of holes.
      end

      def skip(file, position)
        return unless position > file.position

        file.position = position
        file.mark = file.before || "".b
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
        enough = -> { events.size >= EVENTS || used >= @most[file.stream] }
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

      # hand_over is false where the events have to wait: the buffer is full, or its disk.
      def hand_over(file, events, text, skipping)
        stream = Fluent::MultiEventStream.new
        events.each { |time, record| stream.add(time, record) }
        bytes = events.sum { |_, record| record["message"].bytesize + EACH }
        began = now
        router.emit_stream(@tag, stream) unless events.empty?
        @left -= bytes
        # Of lines that the filter takes long for fewer at once, so that the other streams have their turn.
        took = now - began
        @most[file.stream] = took > SLOW ? [(bytes * SLOW / took).to_i, 1].max : [@most[file.stream] * 2, LINE].min
        move(file, text, skipping)
      rescue Fluent::Plugin::Buffer::BufferChunkOverflowError
        # Of an event that is larger than a chunk. The others are in the buffer, and it would be the same again.
        log.error("a line is larger than the output takes: it is lost", path: file.path)
        move(file, text, skipping)
      rescue StandardError => e
        @full_until = now + FULL if e.is_a?(Fluent::Plugin::Buffer::BufferOverflowError) || e.is_a?(SystemCallError)
        say(:full, "the buffer does not take more: reading goes on later", error: e.class.name, unread: unread)
        false
      end

      def move(file, text, skipping)
        file.position += text.bytesize
        file.mark = (file.mark + text).then { |all| all.byteslice([all.bytesize - MARK, 0].max, MARK) }
        file.skipping, file.since = skipping, now
        save
        true
      end

      # save keeps the positions, and is false if it cannot: nothing is read then.
      def save
        @unsaved = true
        all = @followed.transform_values do |files|
          files.to_h { |inode, file| [inode.to_s, [file.id, file.position, file.skipping, digest(file), file.size]] }
        end
        File.write("#{@pos_file}.new", JSON.generate(all))
        File.rename("#{@pos_file}.new", @pos_file)
        @unsaved = false
        true
      rescue SystemCallError => e
        say(:save, "the positions could not be written: reading goes on later", error: e.class.name)
        false
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
