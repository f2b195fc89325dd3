# frozen_string_literal: true

# The fluentd filter that every line passes before it leaves the pod. It makes the document that OpenSearch gets: where and
# when the line was written, its JSON taken apart, without the levels that nobody wants, without secrets, and with nothing
# in it that the index template could refuse. Whatever is in a line, this filter lets no exception out: fluentd would print
# the record that caused it, secrets and all (https://github.com/fluent/fluentd/blob/v1.19.3/lib/fluent/plugin/filter.rb).
require "ipaddr"
require "json"
require "strscan"
require "fluent/plugin/filter"

module Fluent
  module Plugin
    class ExpenseFilter < Filter
      Fluent::Plugin.register_filter("expense", self)

      # Where the input put the file's path.
      config_param :path_key, :string
      # Where it put the document's ID, and where the output's id_key finds it.
      config_param :id_key, :string
      # Where the lines are from.
      config_param :cluster, :string
      config_param :namespace, :string
      config_param :pod, :string
      config_param :node, :string
      config_param :zone, :string
      # Added to every document.
      config_param :fields, :hash
      # The fields of JSON lines that can be searched, with their types.
      config_param :indexed_fields, :hash
      # Lines of these levels are dropped, in upper or lower case.
      config_param :drop_levels, :array
      # Regular expressions of more secrets.
      config_param :redact, :array

      UNCHECKED = "[redacted: this line could not be searched for secrets]"

      FILE = %r{([^/]+)/([^/]+)\.log(?:\.\d+)?\z}
      # What the input finds in nginx's errors.
      PARSED = %w[level pid connection].freeze
      # Names under which JSON loggers write the level, the message and the time.
      LEVELS = %w[level severity lvl].freeze
      MESSAGES = %w[message msg].freeze
      TIMES = %w[@timestamp time timestamp ts @t asctime].freeze
      # The longest message in bytes.
      LONGEST = 512 * 1024
      # How deep the JSON of a line may be nested, and how many values it may have. What is deeper or has more stays a text.
      DEPTH = 20
      MANY = 50_000
      # The most bytes that a document has as the buffer counts them, and those of a line that may become more: each byte can be a secret.
      LARGEST = 1024 * 1024
      LARGE = LARGEST / 12
      # How far a line's own time may be from now, in milliseconds.
      PAST = 2 * 24 * 3_600_000
      FUTURE = 3_600_000

      CLOCK = /(?<hour>\d\d):(?<minute>\d\d):(?<second>\d\d)(?:[.,](?<fraction>\d{1,9}))?/
      ZONE = /(?:Z|UTC|GMT|(?<sign>[+-])(?<hours>\d\d)(?::?(?<minutes>\d\d))?(?: [A-Z]{3,5})?)?(?:\[[\w\/+-]{1,40}\])?/
      YEAR = /(?<year>[1-9]\d{3})/
      MONTH = /(?<month>Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)/
      # As ISO 8601, Go's log and nginx's errors; access logs; HTTP and mail; and C's ctime.
      DATES = [
        %r{\A#{YEAR}(?:-(?<month>\d\d)-(?<day>\d\d)[T ]|/(?<month>\d\d)/(?<day>\d\d) )#{CLOCK} ?#{ZONE}\z},
        %r{\A\[?(?<day>\d\d)/#{MONTH}/#{YEAR}:#{CLOCK} ?#{ZONE}\]?\z},
        /\A(?:[A-Z][a-z]{2}, )?(?<day>\d\d?) #{MONTH} #{YEAR} #{CLOCK} ?#{ZONE}\z/,
        /\A(?:[A-Z][a-z]{2} )?#{MONTH} {1,2}(?<day>\d\d?) #{CLOCK} (?:UTC |GMT )?#{YEAR}\z/,
      ].freeze
      EPOCH = /\A\d{1,19}(?:\.\d{1,9})?\z/
      # The year 10000, in milliseconds: OpenSearch's dates have four digits for the year.
      END_OF_TIME = 253_402_300_800_000

      # milliseconds is the time since 1970 that a value names, or nil. The size of a number tells seconds, milliseconds,
      # microseconds and nanoseconds apart. A date without a zone is UTC.
      def self.milliseconds(value)
        value = value.to_f if value.is_a?(String) && EPOCH.match?(value)
        case value
        when Numeric
          return nil unless value.between?(0, 1e20)

          value *= 1000 if value < 1e11
          value /= 1000 while value >= 1e14
          time = value.round
        when String
          found = nil
          return nil unless value.bytesize.between?(19, 96) && DATES.any? { |date| found = date.match(value) }

          time = Time.utc(found[:year], found[:month], found[:day], found[:hour], found[:minute], found[:second]).to_i
          time -= "#{found[:sign]}1".to_i * (found[:hours].to_i * 3600 + found[:minutes].to_i * 60) if found.names.include?("sign") && found[:sign]
          time = time * 1000 + found[:fraction].to_s.ljust(3, "0")[0, 3].to_i
        end
        time if time && time.positive? && time < END_OF_TIME
      rescue ArgumentError
        nil # the 32nd of a month
      end

      # iso is how OpenSearch reads a time in milliseconds. The last second is remembered.
      def self.iso(milliseconds)
        second, text = @second
        now = milliseconds / 1000
        second, text = @second = [now, Time.at(now).utc.strftime("%Y-%m-%dT%H:%M:%S.")] if second != now
        "#{text}#{(milliseconds % 1000).to_s.rjust(3, '0')}Z"
      end

      MISFIT = Object.new.freeze
      PLAIN = ->(value) { value.is_a?(String) || value.is_a?(Numeric) || value == true || value == false ? value : MISFIT }
      whole = lambda do |limit|
        lambda do |value|
          number = value.is_a?(String) && value.match?(/\A-?\d{1,19}\z/) ? value.to_i : value
          number.is_a?(Integer) && number >= -limit && number < limit ? value : MISFIT
        end
      end
      decimal = lambda do |limit|
        lambda do |value|
          number = value.is_a?(String) && value.match?(/\A-?\d{1,40}(?:\.\d{1,40})?(?:[eE][+-]?\d{1,3})?\z/) ? value.to_f : value
          number.is_a?(Numeric) && number.abs <= limit ? value : MISFIT
        end
      end
      IPV4 = /\A(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!\z)|\z)){4}\z/
      # What each type of a field makes of a value, or MISFIT for one that OpenSearch might refuse
      # (https://docs.opensearch.org/latest/field-types/supported-field-types/index/). A date is written anew: a number would
      # be milliseconds to OpenSearch, whatever it is.
      TYPES = {
        "keyword" => PLAIN, "text" => PLAIN,
        "boolean" => ->(value) { [true, false, "true", "false"].include?(value) ? value : MISFIT },
        "short" => whole[2**15], "integer" => whole[2**31], "long" => whole[2**63],
        # The largest that is no infinity in 32 bits.
        "float" => decimal[3.4028234e38], "double" => decimal[Float::MAX],
        "date" => ->(value) { (time = milliseconds(value)) ? iso(time) : MISFIT },
        "ip" => lambda do |value|
          next MISFIT unless value.is_a?(String) && value.match?(/\A[0-9a-fA-F:.]{2,45}\z/)

          IPV4.match?(value) || IPAddr.new(value).ipv6? ? value : MISFIT
        rescue IPAddr::Error
          MISFIT
        end,
      }.freeze

      # The fields of an access log.
      ACCESS = {
        "bytes_sent" => "long", "connection" => "long", "host" => "keyword", "method" => "keyword", "path" => "keyword", "pid" => "integer",
        "protocol" => "keyword", "referer" => "keyword", "remote_addr" => "ip", "request_id" => "keyword", "request_time" => "float",
        "status" => "short", "user_agent" => "keyword",
      }.freeze

      def configure(conf)
        super
        @declared = @indexed_fields.to_h do |name, type|
          [utf8(name), TYPES.fetch(type) { raise Fluent::ConfigError, "indexed_fields: #{name} is #{type.inspect}, expected one of #{TYPES.keys.join(', ')}" }]
        end
        @access = @declared.merge(ACCESS.transform_values { |type| TYPES.fetch(type) })
        @added = @fields.to_h { |name, value| [utf8(name), utf8(value)] }
        @added.merge!("cluster" => @cluster, "namespace" => @namespace, "pod" => @pod, "node" => @node, "zone" => @zone)
        @dropped = @drop_levels.to_h { |level| [utf8(level).downcase, true] }
        @files = {}
        @secrets = Secrets.new(@redact.map { |text| utf8(text) })
        # The expressions of this file are linear. Should one not be, its line is not sent, and the others go on.
        Regexp.timeout ||= 10.0 if Regexp.respond_to?(:timeout=)
      end

      # filter_stream bounds the time that the patterns take of lines together.
      def filter_stream(_tag, stream)
        @secrets.again
        @failed = Hash.new(0)
        out = Fluent::MultiEventStream.new
        stream.each do |read, record|
          time, made = document(read, record)
          out.add(time, made) if made
        end
        @failed.each { |error, lines| log.error("lines could not be searched for secrets", error_class: error, lines: lines) }
        out
      end

      private

      # document is the time and the document that become of a record, or nil.
      def document(time, record)
        now = Process.clock_gettime(Process::CLOCK_REALTIME, :millisecond)
        id = record.delete(@id_key)
        container, stream = file(record.delete(@path_key))
        altered = []
        text = cut(utf8(record.delete("message"), altered), altered)
        if (object = parse(text, altered))
          at, claimed = claim(object, now)
          document = take_apart(@secrets.object(object, text, [container, stream], id, altered), stream == "access" ? @access : @declared, altered)
          document = shortened(document, altered) if text.bytesize > LARGE && size(document) > LARGEST
        else
          document = record.slice(*PARSED)
          document["message"] = cut(@secrets.text(text, [container, stream], id, altered), altered)
        end
        return nil if @dropped[document["level"].to_s.downcase]

        # The time that the input read off the line, or when it read the line.
        parsed = time.to_i * 1000 + (time.is_a?(Fluent::EventTime) ? time.nsec / 1_000_000 : 0)
        at ||= parsed if near?(parsed, now)
        claimed ||= ExpenseFilter.iso(parsed) unless at
        document["claimed_time"] = claimed if claimed
        altered << "time" if claimed
        document["altered"] = altered.uniq unless altered.empty?
        finish(document, at || now, container, stream, id)
      rescue StandardError => e
        @failed[e.class.name] += 1
        finish({ "message" => UNCHECKED }, now, container, stream, id)
      end

      # file is the container and the stream of a path: there are few, and a line for each.
      def file(path)
        @files[path] || begin
          @files.clear if @files.size >= 256
          @files[path.dup.freeze] = FILE.match(utf8(path))&.captures
        end
      end

      # finish adds what no line can say of itself.
      def finish(document, milliseconds, container, stream, id)
        document.merge!(@added)
        document["container"] = container
        document["stream"] = stream
        document["@timestamp"] = ExpenseFilter.iso(milliseconds)
        document[@id_key] = id
        [Fluent::EventTime.new(milliseconds / 1000, milliseconds % 1000 * 1_000_000), document]
      end

      def near?(time, now) = time.between?(now - PAST, now + FUTURE)

      # claim takes out of an object the time that can be true, or else, as a text, the first one that cannot.
      def claim(object, now)
        untrue = nil
        TIMES.each do |key|
          next unless (value = object[key]) && (time = ExpenseFilter.milliseconds(value))

          if near?(time, now)
            object.delete(key)
            return [time, nil]
          end
          untrue ||= key
        end
        [nil, untrue && object.delete(untrue).to_s]
      end

      # take_apart makes an object's document. The level and message are everybody's, and what has a type can be searched. The rest goes
      # to "json", which OpenSearch keeps and does not look into, because no two applications mean the same by a name.
      def take_apart(object, types, altered)
        document = {}
        spelling = LEVELS.find { |key| object[key].is_a?(String) }
        document["level"] = object.delete(spelling).downcase if spelling
        spelling = MESSAGES.find { |key| object[key].is_a?(String) }
        document["message"] = cut(object.delete(spelling), altered) if spelling
        types.each do |name, type|
          next unless object.key?(name)

          found = object.delete(name)
          value = fit(type, found)
          next document[name] = value unless value.equal?(MISFIT)

          object[name] = found
          altered << "types"
        end
        document["json"] = object unless object.empty?
        document
      end

      # fit is the value for a field of a type, in which OpenSearch takes a list or nothing, too.
      def fit(type, value)
        return value if value.nil?
        return type.call(value) unless value.is_a?(Array)

        values = value.map { |one| type.call(one) }
        values.include?(MISFIT) ? MISFIT : values
      end

      def parse(text, altered)
        return nil unless text.match?(/\A\s*\{/)

        if text.bytesize > MANY && text.count("{[,") > MANY
          altered << "many"
          return nil
        end
        JSON.parse(text, max_nesting: DEPTH - 1)
      rescue JSON::NestingError
        altered << "depth"
        nil
      rescue JSON::ParserError
        nil
      end

      # shortened is a document that is too large as a text, as far as it goes.
      def shortened(document, altered)
        { **document.slice("level"), "message" => cut(JSON.generate(document), altered) }
      end

      # size is what a value takes in msgpack, where all but texts take 9 bytes at most (https://github.com/msgpack/msgpack/blob/master/spec.md).
      def size(value)
        case value
        when String then value.bytesize + 5
        when Array then value.sum(5) { |one| size(one) }
        when Hash then value.sum(5) { |name, one| size(name) + size(one) }
        else 9
        end
      end

      def cut(text, altered)
        return text if text.bytesize <= LONGEST

        altered << "cut"
        text.byteslice(0, LONGEST).scrub("")
      end

      # utf8 is the text with "?" for what is not UTF-8: the input reads bytes, nginx passes on what clients send, and
      # OpenSearch refuses such a document. The text may be frozen.
      def utf8(text, altered = nil)
        text = text.dup.force_encoding(Encoding::UTF_8) unless text.encoding == Encoding::UTF_8
        return text if text.valid_encoding?

        altered << "bytes" if altered
        text.scrub("?")
      end

      # Secrets finds what must not leave the pod. The names and forms are those of docs/logging.md. Each of its expressions is
      # linear in every Ruby: it begins at the edge of a word or with what no word has, and so looks at a long text once.
      class Secrets
        REDACTED = "[redacted]"

        # What is in the name of a secret. "_" stands for "_", "-", a blank or nothing.
        NAMES = %w[
          authorization cookie password passwd passphrase passcode passkey pass pwd otp secret token csrf xsrf credential cred signature
          jsessionid phpsessid session_id access_key account_key api_key auth_key encryption_key master_key private_key secret_key
          session_key shared_key signing_key subscription_key
        ].freeze
        # A name that ends in one of these says something about a secret: its size, or where it is.
        ABOUT = %w[
          age alg algorithm arn at attempts audience bucket budget change changed consent count counts created date days dir domain enabled
          endpoint error errors exception exists expiration expired expires expiry failures field file format found header hours in index
          info invalid issuer kind len length limit max method min minutes missing mode ms name names on path policy position rate reason
          ref refreshed remaining required rotation scope scopes second seconds size source state status time total ttl type types until
          updated uri url usage used valid version
        ].freeze
        # Who deals with a secret, if it is a class: of any other name such a word may say whose it is.
        ROLES = %w[
          bean builder cache chain class client config configuration controller converter encoder factory filter handler helper impl
          interceptor job listener mailer manager matcher parser processor provider repository request resolver response service store
          strategy task util utils validator worker
        ].freeze
        CODE = /[a-z0-9]\.(?:cpp|cs|go|java|js|kt|php|py|rb|rs|scala|ts)\z/
        HARMLESS = %i[no about].freeze
        PASCAL = /(?:\A|[.\/])[A-Z][a-z]\w*\z/
        # Tokens that are no secrets: of a text, of a page, of a lock. A token of the others is one unless it is a number.
        TOKENS = %w[bos cancellation cls continuation eos mask next pad sep unk].freeze
        COUNTED = (TOKENS + %w[change completion fencing input lock output page prompt sync]).freeze
        # A header's value has blanks in it.
        HEADER = /\A[\w.-]*(?:authorization|cookies?|x-amz-security-token)\z/i
        # Two fields of which one has the name and the other the value.
        NAMED = %w[
          name key header field variable param parameter id label path k column property attribute setting option env headername fieldname parametername parameterkey paramname
          variablename columnname propertyname attributename settingname optionname keyname
        ].freeze
        VALUES = %w[
          value values val v content data new newvalue old oldvalue parametervalue headervalue fieldvalue variablevalue propertyvalue
          attributevalue settingvalue
        ].freeze
        # What is known of a secret, and the secret.
        WITHIN = /\{[^{}]{0,256}?\\{0,8}["'](?:#{VALUES.join('|')})\\{0,8}["']\s*:/i

        # A name in lower case, with "_" between its words. After a password's any letters may follow, after the others an s.
        JUDGED = /\A(?<lead>.*)(?<stem>passw(?:or)?d(?!less)[a-z]*|passphrase[a-z]*|(?:(?<![a-z])(?:pass|otp|cred)|#{
          (NAMES - %w[password passwd passphrase pass otp cred]).join('|').gsub('_', '_?')
        })s?(?![a-z]))(?<rest>.*)/
        # SSHPASS, but no word of its own.
        CAPITALS = /\A[A-Z0-9_]*[A-Z](?<!BY|COM|OVER|SUR|TRES|UNDER)PASS\z/
        # A text without any of these, in lower case, has no secret: most have none. "key" stands for all that end in it. What begins with
        # these signs is only looked for behind one.
        HINTS = %w[authorization cookie pass pwd otp secret token srf cred signature sess key bearer basic akia asia eyj identified].freeze
        BEHIND = { "@" => ["://", "@tcp(", "@unix("], "=" => ["auth=", "sid=", "sig="], ': "' => ["request: ", "upstream: ", "referrer: "] }.freeze
        # Where a secret may begin.
        TRIGGER = %r{
          (?<block>-----BEGIN\ [A-Z0-9\ ]{0,40}PRIVATE\ KEY[A-Z\ ]{0,20}-----) |
          (?<shape>(?-i:(?<![A-Za-z0-9])(?:AKIA|ASIA)[A-Z0-9]{16}(?![A-Za-z0-9]) | (?<![\w-])eyJ[\w-]{6,}\.[\w-]+\.[\w-]*)) |
          (?<query>\b(?:(?:sub)?request|upstream|referrer):\ "[^"?\n]*\?) |
          (?<url>://) |
          (?<dsn>@(?:tcp|unix)\() |
          (?<param>(?<=[?&])(?:auth|key|sid|sig)=) |
          (?<sql>\bidentified[ \t]{1,8}(?:with[ \t]{1,8}\S{1,64}[ \t]{1,8})?(?:by|as)[ \t]{1,8}(?:password[ \t]{1,8})?(?=["'])) |
          (?<scheme>\b(?:bearer|basic)[ \t]+) |
          (?<name>(?<![\w.\[\]-])[\w.\[\]-]*?(?:#{NAMES.join('|').gsub('_', '[-_.\ ]?')}))
        }xi
        # What stands between a name and its value: "name": "value", name=value, name => value, and name%3Dvalue in a URL.
        CLOSE = /(?:\\*["'`]\]?|%22|%27|%5D)*/i
        BETWEEN = /[ \t]*(?:=+[>~]?|:(?!:)=?|%3[AD])[ \t]*(?:\r?\n[ \t]+)?/i
        # "name": "password", "value": "..."; and how PHP writes it
        BESIDE = /(?:\s|\\{1,8}[nrt])*(?:[,;]\s*)?\\*["']?(?:parameter|field|header|variable)?_?values?\\*["']?\s*[:=]\s*|;s:\d{1,9}:(?=")/i
        # ("Authorization", "...")
        TUPLE = /\s*,\s*(?=\\*["'])/
        PAIR = /\(\s?[bBuUrR]?\\*["']\z/n
        # com.example.Password
        CLASS = /\A(?:[a-z]\w*\.){2,}[A-Z]\w*\z/
        # <property name="password">...
        ATTRIBUTE = /<[\w.:-]+[ \t][^<>]*(?<=[ \t])(?:name|key|id)=["']\z/n
        # PASSWORD '...' in SQL
        QUOTED = /[ \t]{1,8}(?=')/
        # <password>...
        ELEMENT = /(?:\s[^<>]*)?>/
        # --password ...
        ARGUMENT = /[ \t]+(?!-)/
        ARGUMENT_NAME = /\A--?(?!no-)[a-z][\w.-]*\z/i

        # What may stand behind a value that is whole: nothing, the end of a sentence, of a text or of what is in brackets, or the next name.
        AFTER = /(?=[)\]}]*(?:\s|\z|[.:](?:\s|\z)|\\*["'`](?!\w)|[,;&](?:\s|\z|[\[{(]{0,4}\\*["']?[\w.-]{1,64}\\*["']?[ \t]?[:=])))/
        # These are no secrets, and a number is none where the name says how many.
        NOTHING = /(?:true|false|null|nil|none|undefined|<nil>|\(null\)|""(?!")|''(?!')|\[\]|\{\})#{AFTER}|(?=\s|\z|[,;)\]}&](?:\s|\z|[\w.-]+[=:]))/i
        NUMBER = /(?:\[[-\d., ]*\]|(?<open>["']?)-?\d+(?:[.\/]\d+)?%?\k<open>)#{AFTER}/
        # Nor are these: how something is, or which version of it.
        STATE = /(?:accepted|allowed|attempt|changed|denied|disabled|empty|enabled|EOF|expired|failed|granted|incorrect|invalid|mismatch|
          missing|no|off|ok|on|RBAC|rejected|required|revoked|rotated|set|started|unchanged|unset|updated|valid|verified|wrong|yes|
          not\ (?:allowed|found|given|provided|required|set|supported|valid)|no\ such|permission\ denied|too\ (?:long|many|short|weak)|
          [\^~]?\d{1,4}\.\d{1,4}\.\d{1,6}(?:-(?:alpha|beta|canary|dev|next|pre|rc)(?:\.?\d{1,4}){0,2})?)/xi
        WHOLE = /\A#{STATE}\z/
        QUOTED_STATE = /(?<open>\\*["'])#{STATE}\k<open>(?!\\*["'](?![\s,;:)\]}]|\z)|\w)/
        BARE_STATE = /#{STATE}#{AFTER}/
        # A header's value has blanks in it, so this is all of it.
        LINE_STATE = /#{STATE}[ \t]*(?=[\r\n]|\z)/
        PAIR_STATE = /#{STATE}(?=[ \t]*(?:[\r\n]|\z|[ \t][\w.-]{1,64}=))/
        # What something says after its name: two words or more.
        WORDS = /(?:[A-Z]?[a-z]{1,20}|[A-Z]{2,20}|\d{1,6})[ \t]+["'(\[*]?(?>[\w.-]+)(?!=)/
        # Where a shell may be. Other paths can be passwords in the same letters.
        DIRECTORY = %r{\A/(?:app|code|data|etc|home|mnt|opt|root|run|srv|src|tmp|usr|var|work|workspace)?(?:[/\s"',)]|\z)}
        # volume "token" : secret "token", as the kubelet writes
        VOLUME = /volume \\*"\z/n
        VOLUME_OF = /(?:secret|configmap) \\*"/
        QUOTE = /[bBuUrRfF@]?\\*["']/
        # SQL and CSV write a quote in quotes twice.
        DOUBLED = { '"' => /"(?!["\s,;:)\]}]|\z)/, "'" => /'(?!['\s,;:)\]}]|\z)/ }.freeze
        # A block of YAML's, which is indented.
        YAML = /[|>][-+\d]{0,2}[ \t]*\r?\n(?=[ \t])/
        # Python writes more than one line in three of them.
        THREE = /"""(?:(?!""").)+|'''(?:(?!''').)+|\\"\\"\\"(?:(?!\\"\\"\\").)+/m
        # What stands before a credential, known or with no more than the credential behind it.
        SCHEME = /(?:(?:bearer|basic|digest|negotiate|token|apikey|key)|[a-z-]{1,20}(?=[ \t]+[^\s=]+={0,2}(?:\s|\z)))[ \t]+/i
        # To the next blank, or to the quote of the JSON that the text is from.
        UNQUOTED = /(?:(?!["'][,;:)}\]])\S)+/
        # After "basic" and "bearer" words are no credentials.
        PROSE = /realm=|(?:[A-Z]?[a-z]{1,15}|[A-Z]{1,15}|v?\d{1,6}(?:\.\d{1,6}){0,3})(?![^\s"'\\,;.:!?)\]])/
        ABOUT_BEARER = /(?:auth\w*|tokens?|schemes?|realm|headers?|errors?|formats?|credentials?|is|was|in|for|and|or|not|of|from|to|required|missing)\b/i
        # Of a URL, before the host. A password may have what a URL may not. An image's digest is none.
        USER = %r{(?!sha256:[0-9a-f]{64}@)(?:[^\s/?#"'<>]+(?=@)|[^\s/?#"'<>:@\[\]]{0,128}:(?!\d+[/?#,])[^\s"'<>@]{1,256}(?=@))(?!@sha256:[0-9a-f]{64})}
        # The lines of a key, when each is a message of its own, with what else is in their messages: a word is none. And a line of a key
        # whose beginning is not known.
        BLOCK_LINE = %r{\A\s*(?:(?!(?:[A-Z]?[a-z]+|[A-Z]+|\d+)\s*\z)[A-Za-z0-9+/=]+|(?:Proc-Type|DEK-Info): .*)\s*\z}
        BLOCK_PART = %r{[A-Za-z0-9+/=]{40,}}
        BLOCK_ALONE = %r{\A\s*(?=\S*[A-Z])(?=\S*[a-z])(?=\S*\d)(?:[A-Za-z0-9+/]{64}|[A-Za-z0-9+/]{70}|[A-Za-z0-9+/]{76})\s*\z}
        BEGIN_KEY = "-----BEGIN "
        END_KEY = /-----END [A-Z0-9 ]*-----/
        # How long one may be in bytes of the file.
        BLOCK = 32 * 1024
        # Where a key has begun and ended: the file's ID, the positions in it, and what is before and behind it in its line. What a client
        # writes has something behind it, such as the client's address, that others' lines do not have.
        Block = Struct.new(:file, :from, :to, :before, :behind)
        # A key's beginning, and what is behind it in its line.
        BEGINS = /-----BEGIN [^\r\n]{0,40}?PRIVATE KEY[^\r\n-]{0,20}-----(?:(?:\\r)?(?:\\n)?[ \t\r]*$|(?<behind>[^\r\n]*))/

        # How long the filter may work on lines while the settings' patterns take long, in seconds of the processor: on all together,
        # of which some comes back in each second, and once that is used up the patterns on each line and each of its bytes. A line that
        # takes longer does not cost the others their text. And for one search, by the clock.
        TOGETHER = 1.0
        BACK = 0.1
        LINE = 0.002
        BYTE = 2e-6
        SEARCH = 1.0

        Slow = Class.new(StandardError)
        # What is known of a line: whether it may hold a secret, when its time is up, and what was altered in it.
        Search = Struct.new(:suspect, :ends, :altered)

        def initialize(patterns)
          @patterns = patterns.map { |text| pattern(text) }
          @verdicts = {}
          @blocks = {}
        end

        # again begins with lines that are handed over.
        def again
          before, @now = @now, Process.clock_gettime(Process::CLOCK_MONOTONIC)
          left = before ? (@together - clock).clamp(0, TOGETHER) + (@now - before) * BACK : TOGETHER
          @together = clock + [left, TOGETHER].min
        end

        # text is a line that is no object.
        def text(text, stream, id, altered)
          text = inside(text, stream, id)
          string(text, search(text, altered))
        end

        # object is a line's JSON without secrets and without numbers that JSON or OpenSearch cannot say.
        def object(object, line, stream, id, altered)
          if @blocks.key?(stream) || line.include?(BEGIN_KEY)
            MESSAGES.each { |key| object[key] = inside(object[key], stream, id) if object[key].is_a?(String) }
          end
          search = search(line, altered)
          return hash(object, search) if search.suspect || search.ends || !object.each_value.all? { |value| sane?(value) }

          object
        end

        private

        # pattern fails the start of fluentd for a pattern that cannot do its work, or could hold up the logs. Ruby before 3.2, which no
        # image of the sidecar has, knows neither of the two last.
        def pattern(text)
          compiled = Regexp.respond_to?(:linear_time?) ? Regexp.new(text, timeout: SEARCH) : Regexp.new(text)
          raise Fluent::ConfigError, "redact: #{text.inspect} matches an empty text, it would match everywhere" if compiled.match?("")
          return compiled if !Regexp.respond_to?(:linear_time?) || Regexp.linear_time?(compiled)

          raise Fluent::ConfigError, "redact: #{text.inspect} can take more time than in proportion to a line: expected no look-around, " \
                                     "no back-reference and no {n} in a group that repeats"
        rescue RegexpError => e
          raise Fluent::ConfigError, "redact: #{text.inspect} is no regular expression: #{e.message}"
        end

        # search begins the search of a line. What JSON writes as \u or \/ is not seen before it is parsed.
        def search(line, altered)
          suspect = hint?(line) || line.include?("\\u") || line.include?("\\/")
          Search.new(suspect, @patterns.empty? ? nil : [@together, clock + LINE + line.bytesize * BYTE].max, altered)
        end

        def hint?(text)
          text = text.downcase(:ascii)
          HINTS.any? { |hint| text.include?(hint) } || BEHIND.any? { |sign, hints| text.include?(sign) && hints.any? { |hint| text.include?(hint) } }
        end

        # clock does not run while a busy node runs something else, nor while Ruby collects what others have left.
        def clock = Process.clock_gettime(Process::CLOCK_THREAD_CPUTIME_ID) - GC.total_time / 1e9

        def clean(value, search)
          case value
          when String then string(value, search)
          when Hash then hash(value, search)
          when Array then array(value, search)
          else
            return value if sane?(value)

            search.altered << "types"
            value.to_s
          end
        end

        def sane?(value)
          case value
          when String, true, false, nil then true
          when Integer then value.bit_length < 64
          when Float then value.finite?
          end
        end

        def hash(object, search, beside = false)
          beside ||= search.suspect && object.any? { |key, value| value.is_a?(String) && NAMED.include?(spelled(key)) && named?(value) }
          object.each_with_object({}) do |(key, value), out|
            name = string(key, search)
            search.altered << "names" if name != key
            out[name] =
              if !search.suspect then clean(value, search)
              elsif beside && VALUES.include?(spelled(key)) then gone(value, :secret, key, search)
              else gone(value, verdict(key.valid_encoding? ? key : name), name, search)
              end
          end
        end

        def spelled(key) = key.bytesize > 20 ? key : key.downcase.delete("-_")

        # array knows what comes before a secret: the name of a header, an argument, a name in a list of pairs, a line of a key. What a
        # client can choose does not shift them.
        def array(values, search, inner = false)
          return values.map { |value| clean(value, search) } unless search.suspect

          before = open = nil
          values.map do |value|
            secret = before && named?(before) &&
                     (header_name?(before) || (before.match?(ARGUMENT_NAME) && !argument?(value)) || (inner && values.size == 2))
            before = value.is_a?(String) ? value : nil
            next gone(value, :secret, "", search) if secret
            next value.is_a?(Array) ? array(value, search, true) : clean(value, search) unless before

            was, open = open, key_open?(value, open)
            next clean(value, search) unless was

            open ? REDACTED : REDACTED + string(value.partition(END_KEY).last, search)
          end
        end

        def argument?(value) = value.is_a?(String) && value.start_with?("-")

        # key_open? says whether a private key goes on after a text, before which one did or not.
        def key_open?(text, open)
          return open unless text.valid_encoding?

          begins = text.rindex(BEGIN_KEY)
          return open && !text.match?(END_KEY) unless begins && text.match?(/PRIVATE KEY/, begins)

          !text.match?(/-----END /, begins)
        end

        # named? says whether a text is the name of a secret.
        def named?(text) = text.bytesize <= 256 && text.valid_encoding? && !HARMLESS.include?(verdict(text))

        def header_name?(text) = HEADER.match?(text) || (text.match?(/\AX-[\w-]{1,64}\z/i) && !HARMLESS.include?(verdict(text)))

        # gone is what is left of the value of a name.
        def gone(value, verdict, name, search)
          return hash(value, search, true) if verdict == :about && value.is_a?(Hash)

          kept = HARMLESS.include?(verdict) || value.nil? || value == true || value == false || (value.respond_to?(:empty?) && value.empty?) ||
                 (verdict == :number && numbers?(value)) ||
                 (value.is_a?(String) && value.valid_encoding? && (directory?(name, value) || value.match?(WHOLE)))
          kept ? clean(value, search) : REDACTED
        end

        def numbers?(value)
          case value
          when Numeric then true
          when String then value.valid_encoding? && value.match?(/\A#{NUMBER}\z/)
          when Array then value.all? { |one| numbers?(one) }
          when Hash then value.each_value.all? { |one| numbers?(one) }
          end
        end

        # directory says whether a shell's variable has what it is for.
        def directory?(name, value) = name.match?(/\A(?:OLD)?PWD\z/) && value.match?(DIRECTORY)

        # verdict is :secret for a name whose value is one, :number if it is one unless it is a number, :role if it may be one of a process,
        # :about for what is known of a secret, or :no. Names come again.
        def verdict(name)
          return judge(name) if name.bytesize > 256

          @verdicts.fetch(name) do
            @verdicts.clear if @verdicts.size >= 4096
            @verdicts[name.dup.freeze] = judge(name)
          end
        end

        def judge(name)
          return :secret if name.match?(CAPITALS)

          original = name
          name = name.gsub(/(?<=[a-z0-9])(?=[A-Z])/, "_").downcase.gsub(/[^a-z0-9]+/, "_")
          found = JUDGED.match(name)
          return :no if !found || original.match?(CODE) || name == "image_pull_secrets"

          last = found[:rest][/(?<![a-z])[a-z]+\z/]
          return :about if ABOUT.include?(last) || (ROLES.include?(last) && original.match?(PASCAL))
          return :role if ROLES.include?(last)

          token = found[:stem].start_with?("token")
          lead = found[:lead].delete_suffix("_")
          return :about if token && TOKENS.include?(lead) && found[:rest].empty? && original.match?(/[a-z]/)

          counted = found[:stem].end_with?("s") || (token && (found[:rest].match?(/\A_ids?\z/) || COUNTED.include?(lead[/(?<![a-z])[a-z]+\z/])))
          counted ? :number : :secret
        end

        def string(text, search)
          if search.suspect
            unless text.valid_encoding?
              search.altered << "bytes"
              text = text.scrub("?")
            end
            text = scan(text) if hint?(text)
          end
          @patterns.each { |secret| text = replace(text, secret, search.ends) }
          text
        end

        # replace ends a pattern that is fast for each match but has too many to try.
        def replace(text, secret, ends)
          raise Slow if clock > ends

          text.gsub(secret) do
            raise Slow if clock > ends

            REDACTED
          end
        end

        # inside is what a line is without a key that began before it. Of a key whose lines come one by one, those after the first are known
        # by where they are, as they may be read again. Another file of the stream goes on where the one before has ended.
        def inside(text, stream, id)
          return text unless text.valid_encoding? # half a character of JSON's, which #string replaces

          file, _, position = id.to_s.rpartition("-")
          position = position.to_i
          block = @blocks[stream]
          open = block && (block.file == file ? position > block.from && position <= (block.to || block.from + BLOCK) : !block.to && position < BLOCK)
          if open
            _, marked, after = text.partition(END_KEY)
            unless marked.empty?
              block.to = position
              text = REDACTED + after
            else text = without(text, block)
            end
          elsif text.bytesize.between?(64, 80) && BLOCK_ALONE.match?(text) then text = REDACTED
          end
          if text.include?(BEGIN_KEY) && key_open?(text, false)
            begins = text.rindex(BEGIN_KEY)
            found = BEGINS.match(text, begins)
            @blocks[stream] = Block.new(file, position, nil, text[0, begins].rpartition("\n").last.bytesize, found[:behind].to_s) if found
          end
          text
        end

        # without is a line of a key, which may have before and behind it what the first has.
        def without(text, block)
          return text unless text.end_with?(block.behind) && text.bytesize >= block.before + block.behind.bytesize

          text = text.byteslice(0, text.bytesize - block.behind.bytesize)
          head = text.byteslice(0, block.before)
          head = "" unless head.valid_encoding? && head.match?(%r{[^A-Za-z0-9+/=]\z})
          (BLOCK_LINE.match?(text.byteslice(head.bytesize..)) ? head + REDACTED : text.gsub(BLOCK_PART, REDACTED)) + block.behind
        end

        def scan(text)
          scanner = StringScanner.new(text, fixed_anchor: true)
          out = nil
          copied = 0
          while scanner.skip_until(TRIGGER)
            from, to = secret(scanner, text)
            next if from == to

            from = [from, copied].max
            out = (out || +"") << text.byteslice(copied, from - copied) << REDACTED
            copied = to
          end
          out ? out << text.byteslice(copied..) : text
        end

        # secret is where one begins and ends, in bytes, or nil; the scanner then is where the next may begin.
        def secret(scanner, text)
          from = scanner.pos - scanner.matched_size
          if scanner[:name] then return assigned(scanner, text, from)
          elsif scanner[:block] then scanner.skip_until(/-----END [^\r\n-]*-----/) || scanner.terminate
          elsif scanner[:shape] then nil
          elsif scanner[:dsn] then return data_source(text, from)
          else
            url, query = scanner[:url], scanner[:query]
            basic = scanner.matched.match?(/\Abasic/i)
            from = scanner.pos
            if scanner[:sql] then return value(scanner, false, false)
            elsif scanner[:param] then scanner.skip(/[^&\s"'<>]*/)
            elsif url then scanner.skip(USER)
            elsif query then scanner.skip(/[^\s"]*(?:"(?![,\s]|\z)[^\s"]*)*/)
            elsif !scanner.match?(basic ? PROSE : ABOUT_BEARER) then scanner.skip(/[^\s"'\\,;]+/)
            end
          end
          [from, scanner.pos]
        end

        # data_source is where the password is of one of Go's, user:password@tcp(host)/name, of which the "@" was found.
        def data_source(text, at)
          word = text.byteslice([at - 320, 0].max...at).b[/(?<![^\s"'`])[^\s"'`]*\z/n]
          colon = word&.index(":")
          [colon ? at - word.bytesize + colon + 1 : at, at]
        end

        # assigned is where the value begins and ends that comes after a name.
        def assigned(scanner, text, from)
          edge = scanner.pos
          scanner.skip(/[\w.\[\]-]*/)
          name = text.byteslice(from, scanner.pos - from)
          verdict = verdict(name)
          closed = scanner.skip(CLOSE).positive?
          header = HEADER.match?(name)
          before = text.byteslice([from - 64, 0].max...from).b
          if (before.match?(/<(?:[\w.-]*:)?\z/n) || (closed && before.match?(ATTRIBUTE) && !scanner.match?(BESIDE))) && scanner.skip(ELEMENT)
            return if HARMLESS.include?(verdict)

            return [scanner.pos, scanner.pos + scanner.skip(/[^<]*/)]
          end
          between = scanner.scan(BETWEEN) || scanner.scan(BESIDE) ||
                    (closed && (header_name?(name) || name.match?(ARGUMENT_NAME) || before.match?(PAIR)) && scanner.scan(TUPLE)) ||
                    (name.match?(/\A(?!--?no-)-/) && scanner.scan(ARGUMENT)) || (name.match?(/passw(?:or)?d\z/i) && scanner.scan(QUOTED))
          unless between
            scanner.pos = edge
            return
          end
          verdict = :secret if verdict == :about && scanner.match?(WITHIN)
          return if HARMLESS.include?(verdict) || scanner.match?(NOTHING) || (verdict == :number && scanner.match?(NUMBER)) ||
                    (!closed && between.match?(/\A[ \t]*:/) && name.match?(/(?:pass|otp)\z/i) && !scanner.match?(YAML)) || state?(scanner, header, between.include?(":")) ||
                    (!before.end_with?(";") && directory?(name, scanner.peek(12).b)) || (before.match?(VOLUME) && scanner.match?(VOLUME_OF)) ||
                    (!closed && between.match?(/:[ \t]+\z/) && (verdict == :role || before.match?(%r{[/=]\z}) || name.match?(CLASS)) && scanner.match?(WORDS))

          value(scanner, header, between.include?(":"))
        end

        def state?(scanner, header, line)
          scanner.match?(QUOTED_STATE) || scanner.match?(!header ? BARE_STATE : line ? LINE_STATE : PAIR_STATE)
        end

        def value(scanner, header, line)
          scanner.skip(/string\(\d{1,9}\)[ \t]*(?=")/) # as PHP dumps a text
          from = scanner.pos
          if scanner.skip(YAML) then return indented(scanner)
          elsif scanner.skip(/(?:[|>]|\\u003e)[-+\d]{0,2}[ \t]*(?=\\{1,8}[rn])/) then return [scanner.pos, scanner.pos += scanner.match?(/[^"\r\n]*/)]
          elsif (text = scanner.scan(THREE)) then return [from + (text.start_with?("\\") ? 6 : 3), scanner.pos]
          elsif scanner.skip(QUOTE)
            from = scanner.pos
            return [from, quoted(scanner, scanner.matched.count("\\"), scanner.matched[-1])]
          end
          if scanner.match?(/[\[{]/)
            bracketed(scanner)
            scanner.skip(/[^\s,;:)\]}"']\S*/)
          elsif header && line then scanner.skip(/[^\r\n]*/)
          elsif header
            scanner.skip(SCHEME)
            scanner.skip(/[^\s;]+(?:;[ \t]*[^\s;]+)*/)
          else scanner.skip(UNQUOTED)
          end
          [from, scanner.pos]
        end

        # indented is a block of YAML's: the lines that are indented as far as the first.
        def indented(scanner)
          from = scanner.pos + scanner.match?(/[ \t]+/)
          scanner.skip(/(?:[ \t]{#{[from - scanner.pos, 64].min},}[^\r\n]*(?:\r?\n|\z)|[ \t]*\r?\n)+/)
          [from, scanner.pos]
        end

        # quoted is where a text in quotes ends. In JSON that is a text in JSON each quote has backslashes before it, more with each
        # level, so the first that has no more than the opening one ends it.
        def quoted(scanner, slashes, quote)
          while scanner.skip_until(quote == '"' ? /\\+"?|"/ : /\\+'?|['\r\n]/)
            found = scanner.matched
            next if found.end_with?("\\") || (slashes.zero? && found == quote && scanner.skip(DOUBLED[quote]))
            return scanner.pos - 1 if slashes.zero? && found.bytesize.odd?
            next if slashes.zero? || found.bytesize > slashes + 1 || scanner.skip(/\\+["'](?![\s,;:)\]}"'\\]|\z)/)

            return scanner.pos - found.bytesize
          end
          scanner.terminate
          scanner.pos
        end

        def bracketed(scanner)
          depth = 0
          while scanner.skip_until(/\\+"?|["\[\]{}]/)
            case scanner.matched[-1]
            when '"' then quoted(scanner, scanner.matched.bytesize - 1, '"')
            when "[", "{" then depth += 1
            when "]", "}" then depth -= 1
            end
            return if depth.zero?
          end
          scanner.terminate
        end
      end
    end
  end
end
