import { useCallback, useState } from 'react';

export interface Selection {
  count: number;
  ids: string[];
  has: (id: string) => boolean;
  toggle: (id: string) => void;
  set: (ids: string[]) => void;
  clear: () => void;
}

/** Which assets are ticked; forgotten when `scope` (application and filters) changes. */
export function useSelection(scope: string): Selection {
  const [state, setState] = useState<{ scope: string; ids: ReadonlySet<string> }>({ scope, ids: new Set() });
  const ids = state.scope === scope ? state.ids : new Set<string>();
  const set = useCallback((next: string[]) => setState({ scope, ids: new Set(next) }), [scope]);
  return {
    count: ids.size,
    ids: [...ids],
    has: (id) => ids.has(id),
    toggle: (id) => set(ids.has(id) ? [...ids].filter((one) => one !== id) : [...ids, id]),
    set,
    clear: () => set([]),
  };
}
