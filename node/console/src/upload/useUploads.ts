import { useSyncExternalStore } from 'react';
import { type UploadItem, uploads } from './queue';

export function useUploads(): UploadItem[] {
  return useSyncExternalStore(uploads.subscribe, uploads.items);
}
