import { useState } from 'react';

const equal = (one: unknown, other: unknown) => JSON.stringify(one) === JSON.stringify(other);

/**
 * One value of a form: what is saved, until somebody edits it; then theirs, whatever is saved meanwhile, until the two
 * are the same again. So a change that is saved, here or elsewhere, takes nothing away that is being typed.
 */
export function useEdited<Value>(
  saved: Value,
  same: (own: Value, saved: Value) => boolean = equal,
): [Value, (own: Value) => void] {
  const [own, setOwn] = useState<{ value: Value } | null>(null);
  if (own === null) return [saved, (value) => setOwn({ value })];
  const settled = same(own.value, saved);
  if (settled) setOwn(null);
  return [settled ? saved : own.value, (value) => setOwn({ value })];
}
