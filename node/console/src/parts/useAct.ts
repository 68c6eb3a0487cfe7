import { type QueryKey, useMutation, useQueryClient } from '@tanstack/react-query';
import { useToasts } from './Toasts';

/** A change through the API: tells when it is done or why not, and asks anew for what it touched. */
export function useAct<Input = void, Output = unknown>(options: {
  act: (input: Input) => Promise<Output>;
  /** Said in the corner when it is done. */
  done?: string;
  touches: QueryKey[];
  after?: (output: Output, input: Input) => void;
}) {
  const client = useQueryClient();
  const toasts = useToasts();
  return useMutation({
    mutationFn: options.act,
    onSuccess: async (output, input) => {
      if (options.done) toasts.done(options.done);
      options.after?.(output, input);
      await Promise.all(options.touches.map((queryKey) => client.invalidateQueries({ queryKey })));
    },
    onError: toasts.failed,
  });
}
