/** Entry: language, theme, cache and router around the pages. */
import { MantineProvider } from '@mantine/core';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { RouterProvider } from '@tanstack/react-router';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { onSignedOut, Problem } from './api/client';
import { keys } from './api/queries';
import { DialogProvider } from './parts/Dialogs';
import { ToastProvider } from './parts/Toasts';
import { makeRouter } from './router';
import './mantine.css';
import './style.css';
import { TextProvider } from './text/TextProvider';
import { loadMessages, preferredLanguage } from './text/t';
import { theme } from './theme';
import { installTrustedTypes } from './trusted-types';

installTrustedTypes();

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      // Only a node that cannot be reached is worth asking again; a refusal stays one.
      retry: (count, error) => count < 2 && error instanceof Problem && (error.status === 0 || error.status >= 502),
    },
    mutations: { retry: false },
  },
});
onSignedOut(() => client.setQueryData(keys.me, null));

const router = makeRouter(client);

/** The nonce that the node put into this answer; without the node (vite) there is none. */
function styleNonce(): string {
  const meta = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]');
  return meta?.nonce || meta?.content || '';
}

/** Where react-remove-scroll, below Mantine's dialogs, looks for the nonce of the style it writes. */
(globalThis as { __webpack_nonce__?: string }).__webpack_nonce__ = styleNonce();

async function start(): Promise<void> {
  const root = document.getElementById('root');
  if (!root) throw new Error('index.html has no #root');
  const language = preferredLanguage();
  const messages = await loadMessages(language);
  createRoot(root).render(
    <StrictMode>
      <MantineProvider theme={theme} defaultColorScheme="auto" getStyleNonce={styleNonce}>
        <TextProvider language={language} messages={messages}>
          <QueryClientProvider client={client}>
            <ToastProvider>
              <DialogProvider>
                <RouterProvider router={router} />
              </DialogProvider>
            </ToastProvider>
          </QueryClientProvider>
        </TextProvider>
      </MantineProvider>
    </StrictMode>,
  );
}

void start();
