# Samples of all rounds to one record a figure: medians, and "inconclusive" when the rounds differ by more than the
# distance of the ratio from its bar.
def median: sort | if length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
def round3: . * 1000 | round / 1000;
[inputs | split("\t") | {name: .[0], ours: (.[1] | tonumber), peer: (.[2] | tonumber), unit: .[3], better: .[4],
  bar: (.[5] | tonumber), load: (.[6] | tonumber), note: .[7]} | .ratio = (if .peer == 0 then 0 else .ours / .peer end)]
| group_by(.name)
| map((map(.ratio) | median) as $ratio | ((map(.ratio) | max) - (map(.ratio) | min)) as $spread | .[0].bar as $bar
  | (.[0].better == "lower") as $lower
  | {name: .[0].name, ours: (map(.ours) | median | round3), peer: (map(.peer) | median | round3),
     ratio: ($ratio | round3), unit: .[0].unit, better: .[0].better, bar: $bar, rounds: length,
     spread: ($spread | round3), load: (map(.load) | median), note: .[-1].note,
     verdict: (if $spread > (($ratio - $bar) | fabs) then "inconclusive"
       elif (if $lower then $ratio <= $bar else $ratio >= $bar end) then "met" else "missed" end)})
