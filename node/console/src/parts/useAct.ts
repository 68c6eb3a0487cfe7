import { type QueryKey, useMutation, useQueryClient } from '@tanstack/react-query';
import { useRef } from 'react';
import { useToasts } from './Toasts';

/** A change through the API: tells when it is done or why not, and asks anew for what it touched. */
export function useAct<Input = void, Output = unknown>(options: {
  act: (input: Input) => Promise<Output>;
  /** Said in the corner when it is done. */
  done?: string;
  touches: QueryKey[];
  after?: (output: Output, input: Input) => void;
  /** Takes what went wrong instead of the corner: for forms that say it at the field. */
  failed?: (error: unknown) => void;
}) {
  const client = useQueryClient();
  const toasts = useToasts();
  const running = useRef(new Set<string>());
  const mutation = useMutation({
    mutationFn: options.act,
    onSettled: (_output, _error, input) => {
      running.current.delete(JSON.stringify(input));
    },
    onSuccess: async (output, input) => {
      if (options.done) toasts.done(options.done);
      options.after?.(output, input);
      await Promise.all(options.touches.map((queryKey) => client.invalidateQueries({ queryKey })));
    },
    onError: options.failed ?? toasts.failed,
  });
  // A double click arrives before the button can show that it is busy: the same change is not sent again meanwhile.
  const mutate: typeof mutation.mutate = (...given) => {
    const key = JSON.stringify(given[0]);
    if (running.current.has(key)) return;
    running.current.add(key);
    mutation.mutate(...given);
  };
  return { ...mutation, mutate };
}
