# Reads a list of [expression, text] as JSON and writes, for each, the list of what the expression matches in the text; or the
# reason why it is no expression.
require "json"

found = JSON.parse($stdin.read).map do |expression, text|
  text.gsub(Regexp.new(expression)).map { |match| match }
rescue RegexpError => e
  e.message
end
puts JSON.generate(found)
