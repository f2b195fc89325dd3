# frozen_string_literal: true

# fluentd's OpenSearch output, where no answer to a document is passed over: one that was not taken makes its chunk wait and
# try again, with growing pauses, in the metrics and in the log, unless the document itself is to blame, which is then
# printed. The plugin has lists for both, and sends what is on neither again at once, without an end or a sign
# (https://github.com/fluent/fluent-plugin-opensearch/blob/v1.1.6/lib/fluent/plugin/opensearch_error_handler.rb). Waiting does
# no harm to the documents of the chunk that were taken: they have IDs, and a second one is refused with 409, a success.
require "fluent/plugin/out_opensearch"

module Fluent
  module Plugin
    class ExpenseOutput < OpenSearchOutput
      Fluent::Plugin.register_output("expense", self)

      # Seconds that what was not taken is tried for when fluentd stops. The application's own stop, the input's 20 and two requests of
      # 20 have the rest of the pod's grace; but before it fluentd sends as long as all is taken, for which there is no other bound
      # than the grace (output.rb, submit_flush_all): a full buffer is a hundred requests.
      LAST = 20

      # The types that the plugin lets a chunk wait for: all that are not the document's fault. The handler asks nothing else.
      Waiting = Struct.new(:refused) do
        def include?(type) = !refused.include?(type)
      end

      # The handler takes the documents of a chunk in their order, and would print those that are refused again each time that one
      # behind them has the chunk wait.
      OpenSearchErrorHandler.prepend(Module.new do
        def handle_error(response, *rest)
          results = Array(response["items"]).flat_map { |item| item.is_a?(Hash) ? item.values : [] }
          results.each do |result|
            next if [200, 201, 400, 409].include?(result["status"])

            type = result["error"].is_a?(Hash) && result["error"]["type"]
            raise OpenSearchErrorHandler::OpenSearchRequestAbortError, "#{result['status']} #{type}" if type && unrecoverable_error?(type)
          end
          super
        end
      end)

      # fluentd asks for it in the class itself (lib/fluent/plugin/output.rb, implement?).
      def write(chunk) = super

      def unrecoverable_error_types
        Waiting.new(unrecoverable_record_types)
      end

      # fluentd's own last flush does not begin where the output waits for its next try, and ends at the first failure, with the
      # volume of a pod that goes (output.rb, submit_flush_all).
      def before_shutdown
        super
        ends = Fluent::Clock.now + LAST
        while (@buffer.queued? || !@buffer.dequeued.empty?) && Fluent::Clock.now < ends
          refused = @retry_mutex.synchronize { @retry.tap { @retry = nil } }
          # The one that was refused is at the head again (buffer.rb, takeback_chunk), and those behind it may be taken.
          @buffer.synchronize { @buffer.queue.rotate! } if refused
          submit_flush_once
          sleep 1
        end
      end

      private

      # The input waits, and says why. fluentd's own would print a line at each try (output.rb, write_guard).
      def write_guard = yield
    end
  end
end
