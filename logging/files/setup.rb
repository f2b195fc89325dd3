# Brings a domain into the state that a document asks for: ruby setup.rb setup.json
#
# The document has the domain's "endpoint" and "region", and the "requests", which are sent in their order, signed with the
# credentials of the pod. Each may be sent again, so this may be killed at any point and started anew.
#   name, method, path, body   what is sent, and what it is called here
#   versioned                  the version that is there is named in what replaces it
#   exists                     the type of the error that says that what is asked for is there already: a success
#   reports                    the key of the answer that has to be true; "failures" has to be false or harmless, and "success" may
#                              be false for what is there already
#   unless                     it is sent only while the newest of the mappings at "path" lack the note "shape", and has to
#                              have made one that has it
#   each_index                 it is sent to each index of a data stream whose settings, at "path", are others than the body
#   objects                    sent as the file of an import into OpenSearch Dashboards, in place of a body
# While the domain cannot be reached, is overloaded or fails by itself (429, 5xx) a request is repeated for "wait_seconds",
# counted from the start; while it is denied (401, 403) for "denied_seconds": roles and policies take a moment to spread.
# In between pass "poll_seconds", 10 unless given.
#
# It needs aws-sigv4 beside the standard library. In fluentd's image plain ruby finds it: GEM_HOME and GEM_PATH of the image
# lead to the bundle that fluentd's plugin was installed with, so neither bundle exec nor a path is needed
# (https://github.com/fluent/fluentd-kubernetes-daemonset/blob/master/docker-image/v1.19/debian-opensearch/Dockerfile).

require "aws-sigv4"
require "json"
require "net/http"
require "openssl"
require "securerandom"
require "time"

# What ends the set-up; its message is all that the reader gets.
class Failure < StandardError; end

class Setup
  NO_ANSWER = [
    SystemCallError, SocketError, IOError, Timeout::Error, OpenSSL::SSL::SSLError, Net::HTTPBadResponse, Net::ProtocolError
  ].freeze
  # Credentials that end within so many seconds are not used any more.
  EXPIRY_MARGIN = 300
  # How often somebody else may change a versioned thing between the look at it and its replacement.
  RACES = 5
  BODY_LIMIT = 1000
  SECONDS_BETWEEN_WAITING_LINES = 60
  # Why ISM may leave an index alone: it has a policy, since this very moment perhaps; it is closed; its time is up, and it goes
  # as it is; or it is one without a policy that is closed, or came after the first of the two calls and gets its policy from
  # the template (TransportAddPolicyAction.kt and TransportChangePolicyAction.kt in
  # https://github.com/opensearch-project/index-management/tree/2.19).
  LEFT_ALONE = /already has a policy|document already exists|is closed|while transitioning to new state|is not being managed/

  # The type of the error of an index that somebody has made read-only (403) or that is on a disk that is full (429).
  BLOCKED = "cluster_block_exception"
  # What waiting does not change, although its status or its kind says so.
  HOPELESS = {
    "certificate verify failed" => nil,
    "index, alias, and data stream names need to be unique" => # with status 500
      "an index or an alias has the data stream's name: delete it, or name the data stream otherwise with expense:logging.dataStream"
  }.freeze

  def initialize(document)
    @endpoint, @region, @requests = document.fetch_values("endpoint", "region", "requests")
    @deadline = now + document.fetch("wait_seconds")
    @denied_seconds = document.fetch("denied_seconds")
    @poll_seconds = document.fetch("poll_seconds", 10)
    @agent, @token_file = %w[AWS_CONTAINER_CREDENTIALS_FULL_URI AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE].map do |variable|
      ENV.fetch(variable) do
        raise Failure, "#{variable} is not set: EKS sets it in a pod that is created after its service account's pod identity " \
                       "association has spread; start the set-up in a new pod"
      end
    end
    @secrets = []
  end

  def run
    @requests.each do |request|
      name = request["name"]
      next settle(request) if request["each_index"]
      next puts "#{name}: nothing to do" if request["unless"] && written_shape(request) == request["unless"]["shape"]

      answer = request["versioned"] ? replace(request) : deliver(request, request["path"], exists: request["exists"])
      puts "#{name}: #{answer.code}#{check(request, answer)}"
    end
  end

  # Nothing that is printed holds credentials: AWS repeats the headers of a request whose signature it finds wrong
  # (https://github.com/opensearch-project/OpenSearch-Dashboards/issues/9679).
  def hide(text)
    @secrets.reduce(text.gsub(/\s+/, " ").strip) { |hidden, secret| hidden.gsub(secret, "[hidden]") }
  end

  private

  # The note in the mappings of a data stream's newest index, which is the one that is written: names end in six digits that count.
  def written_shape(request)
    look = { "name" => request["name"], "method" => "GET" }
    _, newest = JSON.parse(deliver(look, request["unless"]["path"]).body).max
    newest.to_h.dig("mappings", "_meta", "shape")
  end

  # OpenSearch replaces a policy only for who names the version that is replaced, and creates one only if there is none;
  # else it answers with 409 (https://docs.opensearch.org/latest/im-plugin/ism/api/#update-policy).
  def replace(request)
    look = { "name" => request["name"], "method" => "GET" }
    (1..RACES).each do |race|
      found = deliver(look, request["path"], also_fine: [404])
      version = JSON.parse(found.body).values_at("_seq_no", "_primary_term") if found.code != "404"
      query = format("?if_seq_no=%d&if_primary_term=%d", *version) if version
      answer = deliver(request, "#{request["path"]}#{query}", also_fine: race < RACES ? [409] : [])
      return answer if answer.code != "409"
    end
  end

  # Gives settings to each index that has others. One that is blocked stays as it is, and one that is gone needs none.
  def settle(request)
    name, wanted = request.values_at("name", "body")
    look = { "name" => name, "method" => "GET" }
    found = JSON.parse(deliver(look, "#{request["path"]}?flat_settings=true").body)
    others = found.reject { |_, index| wanted.all? { |setting, value| index["settings"][setting] == value.to_s } }.keys
    puts "#{name}: nothing to do" if others.empty?
    others.each do |index|
      answer = deliver(request, "/#{index}/_settings", also_fine: [404], exists: BLOCKED)
      check(request, answer)
      puts "#{name} of #{index}: #{answer.code}#{hide(", left as it is: #{answer.body}")[0, BODY_LIMIT] if error_of(answer) == BLOCKED}"
    end
  end

  # Sends the request until the domain has decided about it, and returns the answer if it is 2xx, a status that is fine too, or
  # says that what is asked for exists.
  def deliver(request, path, also_fine: [], exists: nil)
    sent = request.merge("path" => path)
    body, headers = content(request)
    answer = decided(sent, [401, 403], exists) do
      sign_and_send(request["method"], URI(@endpoint + path), body, headers)
    end
    fine = answer.is_a?(Net::HTTPSuccess) || also_fine.include?(answer.code.to_i) || exists && error_of(answer) == exists
    fine ? answer : fail_with(sent, "#{answer.code} #{answer.body}")
  end

  def content(request)
    return [JSON.generate(request["body"]), { "content-type" => "application/json" }] if request["body"]
    return [nil, {}] unless request["objects"]

    # OpenSearch Dashboards refuses what a web page could have sent (osd-xsrf), and takes a file of this kind with one object
    # a line (https://docs.opensearch.org/latest/troubleshoot/index/). Without a tenant the objects would be this role's own
    # (https://github.com/opensearch-project/security-dashboards-plugin/issues/1002).
    boundary = SecureRandom.hex
    file = request["objects"].map { |saved| JSON.generate(saved) }.join("\n")
    ["--#{boundary}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"objects.ndjson\"\r\n" \
     "Content-Type: application/ndjson\r\n\r\n#{file}\r\n--#{boundary}--\r\n",
     { "content-type" => "multipart/form-data; boundary=#{boundary}", "osd-xsrf" => "true", "securitytenant" => "global" }]
  end

  def sign_and_send(method, uri, body, headers)
    signer = Aws::Sigv4::Signer.new(service: "es", region: @region, **credentials)
    signature = signer.sign_request(http_method: method, url: uri, headers: headers, body: body.to_s)
    answer = http(uri, method, body, headers.merge(signature.headers))
    @expiry = nil if %w[401 403].include?(answer.code) # the next try has new credentials, should these be the reason
    answer
  end

  # The credentials that EKS's agent on the node has for this pod, whose token the kubelet keeps renewing
  # (https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html). The agent answers with 4xx for as
  # long as EKS does not find the association, too.
  def credentials
    return @credentials if @expiry && @expiry - Time.now > EXPIRY_MARGIN

    token = read_token
    asked = { "name" => "credentials of the pod", "method" => "GET", "path" => @agent }
    answer = decided(asked, 400..428) { http(URI(@agent), "GET", nil, { "authorization" => token }) }
    fail_with(asked, "#{answer.code} #{answer.body}") unless answer.is_a?(Net::HTTPSuccess)
    id, secret, session, expiration = JSON.parse(answer.body).fetch_values("AccessKeyId", "SecretAccessKey", "Token", "Expiration")
    @secrets |= [token, secret, session]
    @expiry = Time.iso8601(expiration)
    @credentials = { access_key_id: id, secret_access_key: secret, session_token: session }
  end

  def read_token
    File.read(@token_file).tap { |token| @secrets |= [token] }
  rescue SystemCallError => e
    raise Failure, "token of the pod: #{e.message}: expected the file that AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE names"
  end

  # One request on a connection of its own. Certificates are checked, which is Ruby's default.
  def http(uri, method, body, headers)
    options = { use_ssl: uri.scheme == "https", open_timeout: 10, read_timeout: 60, max_retries: 0 }
    answer = Net::HTTP.start(uri.hostname, uri.port, options) do |server|
      server.send_request(method, uri.request_uri, body, headers)
    end
    answer.body&.force_encoding(Encoding::UTF_8)&.scrub!
    answer
  end

  # Yields until there is an answer that waiting will not change, or an error of the type that is fine.
  def decided(request, denials, fine = nil)
    denied_since = nil
    loop do
      answer, found = attempt { yield }
      return answer if answer && fine && error_of(answer) == fine

      denied = answer && denials.include?(answer.code.to_i)
      return answer if answer && !denied && answer.code.to_i != 429 && answer.code.to_i < 500

      denied_since = denied ? denied_since || now : nil
      left = (denied ? denied_since + @denied_seconds : @deadline) - now
      sign, remedy = HOPELESS.find { |sign, _| found.include?(sign) }
      fail_with(request, [found, remedy].compact.join("; ")) if left <= 0 || sign
      say_waiting(request["name"], found)
      sleep [@poll_seconds, left].min
    end
  end

  def attempt
    answer = yield
    [answer, "#{answer.code} #{answer.body}"]
  rescue *NO_ANSWER => e
    [nil, "#{e.class}: #{e.message}"]
  end

  # A good status is not all: the answer has to say what is expected, and a new index to be made from the template that was sent.
  # Returns what else there is to say about it.
  def check(request, answer)
    return unless answer.is_a?(Net::HTTPSuccess) # it exists

    report, key = report_of(answer), request["reports"]
    there = there(report["errors"]) if key == "success"
    done = key == "failures" ? report[key] == false || left_alone?(report["failed_indices"]) : key.nil? || report[key] == true
    fail_with(request, "#{answer.code} #{answer.body}") unless done || there
    return ", nothing was imported: #{there} of the objects are there, and the domain does not replace them" unless done
    return unless request["unless"]

    found, wanted = written_shape(request), request["unless"]["shape"]
    fail_with(request, "the new index has the shape #{found.inspect}, expected #{wanted.inspect}: another index template, of a higher " \
                       "priority, matches the data stream's name") unless found == wanted
  end

  def left_alone?(indices)
    indices.is_a?(Array) && indices.any? && indices.all? { |index| index.is_a?(Hash) && LEFT_ALONE.match?(index["reason"].to_s) }
  end

  # How many objects of an import are there already, if that is all that hinders it. AWS's guide says that it ignores the parameters
  # of a signed POST, and one of them has the objects replaced
  # (https://docs.aws.amazon.com/opensearch-service/latest/developerguide/managedomains-signing-service-requests.html).
  def there(errors)
    kinds = Array(errors).map { |one| one["error"]["type"] if one.is_a?(Hash) && one["error"].is_a?(Hash) }
    kinds.size if kinds.uniq == ["conflict"]
  end

  # The type of the error that OpenSearch answers with.
  def error_of(answer)
    error = report_of(answer)["error"]
    error["type"] if error.is_a?(Hash)
  end

  # What an answer reports; nothing that reports anything is anything else than an object.
  def report_of(answer)
    report = JSON.parse(answer.body.to_s)
    report.is_a?(Hash) ? report : {}
  rescue JSON::ParserError
    {}
  end

  def say_waiting(name, found)
    return if @said && now - @said < SECONDS_BETWEEN_WAITING_LINES

    puts hide("waiting to send #{name}: #{found}")[0, BODY_LIMIT]
    @said = now
  end

  def fail_with(request, found)
    name, method, path = request.values_at("name", "method", "path")
    raise Failure, "#{name}: #{method} #{path}: #{hide(found)[0, BODY_LIMIT]}"
  end

  def now = Process.clock_gettime(Process::CLOCK_MONOTONIC)
end

$stdout.sync = true
begin
  setup = Setup.new(JSON.parse(File.read(ARGV.fetch(0), encoding: "UTF-8")))
  setup.run
rescue StandardError => e
  message = e.is_a?(Failure) ? e.message : "#{e.class}: #{e.message}"
  abort "set-up of the domain: #{setup ? setup.hide(message) : message}"
end
