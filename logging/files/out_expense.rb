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

      # The types that the plugin lets a chunk wait for: all that are not the document's fault. The handler asks nothing else.
      Waiting = Struct.new(:refused) do
        def include?(type) = !refused.include?(type)
      end

      # fluentd asks for it in the class itself (lib/fluent/plugin/output.rb, implement?).
      def write(chunk) = super

      def unrecoverable_error_types
        Waiting.new(unrecoverable_record_types)
      end
    end
  end
end
