# frozen_string_literal: true

# The fluentd filter that every line passes before it leaves the pod: it says where the line is from, takes JSON apart,
# drops the levels that nobody wants, adds fields, and removes secrets. Whatever is in a line, this filter lets no
# exception out: fluentd would print the record that caused it, secrets and all
# (https://github.com/fluent/fluentd/blob/v1.19.3/lib/fluent/plugin/filter.rb).
require "json"
require "securerandom"
require "fluent/plugin/filter"

module Fluent
  module Plugin
    class ExpenseFilter < Filter
      Fluent::Plugin.register_filter("expense", self)

      # Where in_tail's path_key put the file's path.
      config_param :path_key, :string
      # Where the document's ID goes, for the output's id_key.
      config_param :id_key, :string
      # The pod's name: a request's ID is one line in one container of one pod.
      config_param :pod, :string
      # Added to every record.
      config_param :fields, :hash
      # Records of these levels are dropped, in upper or lower case.
      config_param :drop_levels, :array
      # Regular expressions of more secrets.
      config_param :redact, :array

      REDACTED = "[redacted]"
      UNCHECKED = "[redacted: this line could not be searched for secrets]"

      FILE = %r{([^/]+)/([^/]+)\.log(?:\.\d+)?\z}
      # Names under which JSON loggers write the level and the message.
      LEVELS = %w[level severity lvl].freeze
      MESSAGES = %w[message msg].freeze
      # OpenSearch refuses documents that are nested deeper
      # (https://docs.opensearch.org/latest/install-and-configure/configuring-opensearch/index-settings/).
      DEPTH = 20
      # What OpenSearch's long and msgpack both hold.
      INTEGERS = (-2**63...2**63)
      # What fluentd's time holds: 32 bits of seconds.
      SECONDS = (1...2**32)

      # Keys whose values are secrets, whatever they are.
      SECRET = /(?:authorization|cookies?|passwd|password|passphrase|pwd|secret|token|credentials?|(?:api|private|access|secret)[-_ ]?key)\z/i

      # A value after a name, in quotes or until white space: "a \"b\" c", \"a\", 'a', a.
      VALUE = /"(?:[^"\\]|\\.)*"?|\\+"[^"\\]*(?:\\+")?|'[^'\r\n]*'?|[^\s"']\S*/m
      # Between name and value: =, :, =>, with the quote that ends the name. A value that is gone already is none.
      BETWEEN = /(?:\\*["'])?\s*(?:=+>?|:=?)\s*(?!\[redacted\])/
      HEADER = /(?:authorization|cookies?|x-amz-security-token)/i
      TEXTS = [
        # A header has white space in its value, so it ends with its line, or with its quotes.
        /#{HEADER}(?:\\*["'])?\s*:\s*\K(?:"(?:[^"\\]|\\.)*"?|\\+"[^"\\]*(?:\\+")?|'[^'\r\n]*'?|[^\s"'][^\r\n]*)/im,
        /#{HEADER}#{BETWEEN}\K(?:(?:bearer|basic|digest|negotiate)\s+\S+|#{VALUE})/im,
        /\b(?:bearer|basic)\s+\K(?!\[redacted\])[^\s"'\\,;]+/i,
        /(?:passwd|password|passphrase|\bpwd|secret|token|credential|signature|(?:api|private|access|secret)[-_ ]?key)#{BETWEEN}\K(?:#{VALUE})/im,
        # The user and password of a URL.
        %r{://\K[^\s/?#"']+(?=@)},
        # nginx's error log has the query of the request, whatever the access log is told.
        /\b(?:request|subrequest|upstream|referrer): "[^"?\n]*\?\K\S*?(?="?(?:,|\s|\z))/,
      ].freeze
      # A text without any of these has none of the above: most texts are searched once.
      HINT = %r{authorization|cookie|bearer|basic|passw|passphrase|pwd|secret|token|credential|signature|key|://|(?:request|upstream|referrer): "}i

      def configure(conf)
        super
        @fields = @fields.to_h { |name, value| [utf8(name), utf8(value)] }
        @dropped = @drop_levels.to_h { |level| [utf8(level).downcase, true] }
        @patterns = @redact.map { |text| pattern(text) }
      end

      def filter_with_time(_tag, time, record)
        container, stream = FILE.match(utf8(record.delete(@path_key)))&.captures
        time, record = take_apart(stream, time, record)
        return nil if @dropped[record["level"].to_s.downcase]

        id = document_id(container, record)
        [time, clean(record).merge!(@fields, "container" => container, "stream" => stream, @id_key => id)]
      rescue StandardError => e
        log.error("a line could not be searched for secrets", error_class: e.class.name)
        [time, @fields.merge("message" => UNCHECKED, "container" => container, "stream" => stream, @id_key => SecureRandom.uuid)]
      end

      private

      # pattern fails the start of fluentd for a pattern that cannot do its work.
      def pattern(text)
        compiled = Regexp.new(utf8(text))
        raise Fluent::ConfigError, "redact: #{text.inspect} matches an empty text, it would match everywhere" if compiled.match?("")

        compiled
      rescue RegexpError => e
        raise Fluent::ConfigError, "redact: #{text.inspect} is no regular expression: #{e.message}"
      end

      # take_apart reads a message that is a JSON object. A line of the access log becomes that object. The object of
      # another stream goes to "json", because no two applications mean the same by a name; its level and message are
      # everybody's.
      def take_apart(stream, time, record)
        object = parse(record["message"])
        return [time, record] unless object

        if stream == "access"
          seconds = object["time"]
          return [time, object] unless seconds.is_a?(Numeric) && SECONDS.cover?(seconds)

          object.delete("time")
          return [Fluent::EventTime.from_time(Time.at(seconds).round(6)), object]
        end
        record.delete("message")
        { "level" => LEVELS, "message" => MESSAGES }.each do |name, spellings|
          spelling = spellings.find { |key| object[key].is_a?(String) }
          record[name] = object.delete(spelling) if spelling
        end
        record["level"] = record["level"].downcase if record["level"]
        record["json"] = object unless object.empty?
        [time, record]
      end

      def parse(text)
        return nil unless text.is_a?(String) && (text = utf8(text)).match?(/\A\s*\{/)

        object = JSON.parse(text, max_nesting: DEPTH - 1)
        object if object.is_a?(Hash)
      rescue JSON::ParserError
        nil
      end

      # document_id makes a line that is delivered twice one document. Only in an access log, whose objects are records, does
      # a request's ID stand for one line; elsewhere a second line with it would be taken for a copy and lost.
      def document_id(container, record)
        id = record["request_id"]
        return SecureRandom.uuid unless id.is_a?(String) && id.match?(/\A[\w-]{16,64}\z/)

        "#{@pod}.#{container}.#{id}"
      end

      # clean is a copy of a value without secrets, and without what OpenSearch would refuse the document for.
      def clean(value)
        case value
        when String then text(value)
        when Hash
          value.each_with_object({}) do |(key, inner), out|
            out[text(key)] = SECRET.match?(utf8(key)) && !inner.nil? ? REDACTED : clean(inner)
          end
        when Array then value.map { |inner| clean(inner) }
        when Integer then INTEGERS.cover?(value) ? value : value.to_s
        when Float then value.finite? ? value : value.to_s
        else value
        end
      end

      def text(value)
        value = utf8(value)
        TEXTS.each { |secret| value = value.gsub(secret, REDACTED) } if HINT.match?(value)
        @patterns.each { |secret| value = value.gsub(secret, REDACTED) }
        value
      end

      # utf8 is the text with "?" for what is not UTF-8: in_tail reads bytes, nginx passes on what clients send, and
      # OpenSearch refuses such a document. The text may be frozen.
      def utf8(text)
        text = text.dup.force_encoding(Encoding::UTF_8) unless text.encoding == Encoding::UTF_8
        text.valid_encoding? ? text : text.scrub("?")
      end
    end
  end
end
